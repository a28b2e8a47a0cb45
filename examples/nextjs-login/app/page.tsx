'use client';

import {useActionState} from 'react';
import {login} from './actions';

export default function Login() {
  const [mistake, action, pending] = useActionState(login, undefined);
  return (
    <form action={action}>
      <label>E-mail <input name="email" type="email" autoComplete="username" required /></label>
      <label>Password <input name="password" type="password" autoComplete="current-password" required /></label>
      <button disabled={pending}>Log in</button>
      {mistake && <p role="alert">{mistake}</p>}
    </form>
  );
}
