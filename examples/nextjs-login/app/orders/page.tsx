import {cookies} from 'next/headers';
import {redirect} from 'next/navigation';

/** What another API, which b2b-auth's authorizer protects, answers to this shopper. */
export default async function Orders() {
  const token = (await cookies()).get('storefront-token')?.value;
  if (!token) redirect('/');
  const answer = await fetch(process.env.ORDERS_URL!, {
    headers: {Authorization: `Bearer ${token}`},
    cache: 'no-store',
    signal: AbortSignal.timeout(10_000),
  });
  if (answer.status === 401 || answer.status === 403) redirect('/');
  if (!answer.ok) throw new Error(`The orders are not there: ${answer.status}.`);
  return <pre>{JSON.stringify(await answer.json(), null, 2)}</pre>;
}
