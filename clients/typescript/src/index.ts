import createClient, {type Client} from 'openapi-fetch';
import type {components, paths} from './schema.js';

export type {components, operations, paths} from './schema.js';

/** The body of an answer that is none of success. */
export type ErrorBody = components['schemas']['Error'];

/** That of a 422. */
export type InvalidFields = components['schemas']['InvalidFields'];

/** Who is calling: the bearer of a server-to-server token, or an API account of the store. */
export type Credentials = {authToken: string} | {accessToken: string; storeHash: string};

/** The API at `baseUrl`, which ends with `/api/io`; without credentials for what needs none. */
export function b2bAuth(baseUrl: string, credentials?: Credentials): Client<paths> {
  return createClient<paths>({baseUrl, headers: credentials ? headersOf(credentials) : {}});
}

function headersOf(credentials: Credentials): Record<string, string> {
  return 'authToken' in credentials
    ? {authToken: credentials.authToken}
    : {'X-Auth-Token': credentials.accessToken, 'X-Store-Hash': credentials.storeHash};
}
