'use server';

import {cookies} from 'next/headers';
import {redirect} from 'next/navigation';

const SECONDS = 8 * 60 * 60; // The token ends then, and the cookie with it.

/** Logs a shopper in, or says why not. Next.js refuses a form that a page of another origin has sent. */
export async function login(_before: string | undefined, form: FormData): Promise<string | undefined> {
  const [email, password] = [form.get('email'), form.get('password')];
  if (typeof email !== 'string' || typeof password !== 'string') return 'Please enter e-mail and password.';
  const answer = await fetch(`${process.env.B2B_AUTH_URL}/auth/customers`, {
    method: 'POST',
    headers: {authToken: process.env.B2B_AUTH_TOKEN!, 'Content-Type': 'application/json'},
    body: JSON.stringify({
      storeHash: process.env.B2B_AUTH_STORE, email, password, channelId: 1, name: 'storefront',
      endAt: Math.floor(Date.now() / 1000) + SECONDS,
    }),
    signal: AbortSignal.timeout(10_000),
  }).catch(() => undefined);
  if (answer?.status === 400 || answer?.status === 422) return 'E-mail or password is wrong.';
  if (answer?.status === 429) return `Please try again in ${answer.headers.get('Retry-After')} seconds.`;
  // A 401 or 403 is about the token of this server, not about the shopper.
  if (!answer?.ok) return 'Logging in is not possible at the moment. Please try again later.';

  const {data} = await answer.json() as {data: {token: string}};
  (await cookies()).set('storefront-token', data.token, {
    httpOnly: true, secure: process.env.NODE_ENV === 'production', sameSite: 'lax', path: '/', maxAge: SECONDS,
  });
  redirect('/orders');
}
