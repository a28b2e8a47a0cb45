'use server';

import {cookies} from 'next/headers';
import {redirect} from 'next/navigation';
import {ATTRIBUTES, COOKIE} from './cookie';

const SECONDS = 8 * 60 * 60; // The token ends then, and the cookie with it.

/** Logs a shopper in, or says why not. Next.js refuses a form that a page of another origin has sent. */
export async function login(_before: string | undefined, form: FormData): Promise<string | undefined> {
  let status, token: string;
  try {
    // Failed logins are counted for each e-mail and this server's address: limit attempts by the shopper's address before.
    const answer = await fetch(`${process.env.B2B_AUTH_URL}/auth/customers`, {
      method: 'POST',
      headers: {authToken: process.env.B2B_AUTH_TOKEN!, 'Content-Type': 'application/json'},
      body: JSON.stringify({
        storeHash: process.env.B2B_AUTH_STORE, email: form.get('email'), password: form.get('password'),
        channelId: 1, name: 'storefront', endAt: Math.floor(Date.now() / 1000) + SECONDS,
      }),
      signal: AbortSignal.timeout(10_000),
    });
    status = answer.status;
    if (status === 429) return `Please try again in ${answer.headers.get('Retry-After') ?? 60} seconds.`;
    const {data, meta} = await answer.json();
    const isWrong = meta?.message === 'Calling BC API failed' || data?.errors?.email || data?.errors?.password;
    if (isWrong) return 'E-mail or password is wrong.';
    // Nothing else is the shopper's mistake: a 401 or 403 is about this server's token, another 400 or 422 about what it sends.
    if (!answer.ok) throw new Error();
    token = data.token;
  } catch (error) {
    // Without its message, which may quote what was answered.
    console.error('Login:', status ?? 'no answer', (error as Error).name);
    return 'Logging in is not possible at the moment. Please try again later.';
  }
  (await cookies()).set(COOKIE, token, {...ATTRIBUTES, maxAge: SECONDS});
  redirect('/orders');
}

/** Takes the cookie from the browser. With the same attributes: a name with `__Host-` cannot be set without them. */
export async function logout() {
  (await cookies()).delete({name: COOKIE, ...ATTRIBUTES});
  redirect('/');
}
