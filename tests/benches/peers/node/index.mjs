// `POST /auth/customers/storefront` in JavaScript: what `tests/benches/lambda.rs` compares ours with.

import { createSecretKey } from "node:crypto";
import http from "node:http";
import { BatchGetItemCommand, DynamoDBClient, GetItemCommand } from "@aws-sdk/client-dynamodb";
import { GetSecretValueCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { marshall, unmarshall } from "@aws-sdk/util-dynamodb";
import jwt from "jsonwebtoken";

const { AWS_LAMBDA_RUNTIME_API, DIRECTORY_TABLE, KEYRING_SECRET_ID, TOKENS_TABLE } = process.env;
const LEEWAY = 5;
const DAY = 86_400;
const RELOAD_AFTER = 300;

const requestHandler = { connectionTimeout: 1000, requestTimeout: 1000, throwOnRequestTimeout: true };
const dynamodb = new DynamoDBClient({ maxAttempts: 3, requestHandler });
const secretsManager = new SecretsManagerClient({ maxAttempts: 3, requestHandler });

class Refusal extends Error {
    constructor(status, title, errMsg = title) {
        super(errMsg);
        this.status = status;
        this.title = title;
    }
}

const now = () => Math.floor(Date.now() / 1000);

let keyring;

async function keys() {
    if (!keyring || now() - keyring.loadedAt >= RELOAD_AFTER) {
        const { SecretString } = await secretsManager.send(new GetSecretValueCommand({ SecretId: KEYRING_SECRET_ID }));
        const { previous = [], ...current } = JSON.parse(SecretString);
        const keys = [current, ...previous].map((key) => ({ ...key, secret: createSecretKey(key.key, "utf8") }));
        keyring = { keys, loadedAt: now() };
    }
    return keyring.keys;
}

function header(event, name) {
    const named = Object.entries(event.multiValueHeaders ?? {}).filter(([key]) => key.toLowerCase() === name);
    return named.flatMap(([, values]) => values);
}

async function callersToken(event) {
    const [token, another] = header(event, "authtoken");
    if (!token?.trim()) throw new Refusal(401, "Invalid token header. No credentials provided.");
    const known = await keys();
    try {
        const { kid } = jwt.decode(token.trim(), { complete: true }).header;
        const { secret } = known.find((key) => key.kid === kid);
        const required = { algorithms: ["HS256"], audience: "server", clockTolerance: LEEWAY };
        const claims = jwt.verify(token.trim(), secret, required);
        if (!another && claims.db === "default" && claims.iat <= now() + LEEWAY) return { ...claims, kid };
    } catch {
        // Malformed, of an unknown key, forged, or out of time.
    }
    throw new Refusal(401, "Invalid token.");
}

// Clients send numbers as strings too.
const integer = (value) => (typeof value === "string" ? Number(value) : value);

function fields(event) {
    const [contentType = ""] = header(event, "content-type");
    if (contentType.split(";")[0].trim().toLowerCase() !== "application/json") {
        throw new Refusal(415, "Unsupported Media Type", "The Content-Type must be application/json.");
    }
    let body;
    try {
        body = JSON.parse(event.isBase64Encoded ? Buffer.from(event.body, "base64").toString() : event.body);
    } catch {
        throw new Refusal(400, "Bad Request", "The body is not valid JSON.");
    }
    const [customerId, channelId] = [integer(body?.customerId), integer(body?.channelId ?? 1)];
    if (![customerId, channelId].every((id) => Number.isSafeInteger(id) && id > 0)) {
        throw new Refusal(422, "Missing or Invalid Data", "customerId, channelId: must be positive integers.");
    }
    return { customerId, channelId };
}

const key = (pk, kind, id) => marshall({ pk, sk: `${kind}#${String(id).padStart(20, "0")}` });

async function recordAndCustomer(storeHash, tokenId, customerId) {
    const RequestItems = {
        [TOKENS_TABLE]: { Keys: [key(storeHash, "TOKEN", tokenId)], ConsistentRead: true },
        [DIRECTORY_TABLE]: { Keys: [key(storeHash, "CUSTOMER", customerId)], ConsistentRead: true },
    };
    const { Responses, UnprocessedKeys = {} } = await dynamodb.send(new BatchGetItemCommand({ RequestItems }));
    // What was not read may still be there.
    if (Object.keys(UnprocessedKeys).length) throw new Refusal(503, "Service Unavailable");
    return [TOKENS_TABLE, DIRECTORY_TABLE].map((table) => Responses[table]?.[0] && unmarshall(Responses[table][0]));
}

async function issue(event) {
    const token = await callersToken(event);
    const { customerId, channelId } = fields(event);
    const [record, customer] = await recordAndCustomer(token.store_hash, token.jti, customerId);
    if (!record || ["kid", "email", "iat", "nbf", "exp"].some((name) => record[name] !== token[name])) {
        throw new Refusal(401, "Invalid token.");
    }
    if (!customer?.active || !customer.channels.includes(channelId)) {
        throw new Refusal(404, "Not Found Error", "No matching customer was found.");
    }
    const iat = now();
    const claims = {
        email: customer.email,
        bc_customer_id: customer.customer_id,
        store_hash: token.store_hash,
        db: "default",
        bc_channel_id: channelId,
        aud: "storefront",
        iat,
        exp: iat + DAY,
    };
    const newestFirst = await keys();
    const { kid, secret } = newestFirst.find(({ signsFrom = 0 }) => signsFrom <= iat) ?? newestFirst.at(-1);
    return { token: [jwt.sign(claims, secret, { algorithm: "HS256", keyid: kid })] };
}

function response(code, data, message, detail) {
    return {
        statusCode: code,
        multiValueHeaders: {
            "cache-control": ["no-store"],
            "content-type": ["application/json"],
            "strict-transport-security": ["max-age=31536000"],
            "x-content-type-options": ["nosniff"],
        },
        body: JSON.stringify({ code, data, meta: { message }, detail }),
        isBase64Encoded: false,
    };
}

async function answer(event) {
    try {
        return response(200, await issue(event), "success");
    } catch (error) {
        const { status, title, message } = error instanceof Refusal ? error : new Refusal(500, "Internal Server Error");
        console.log(JSON.stringify({ status, error: error.name, message }));
        return response(status, { errMsg: message }, title, message);
    }
}

const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

function invocation(method, path, body) {
    return new Promise((resolve, reject) => {
        const url = `http://${AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation/${path}`;
        const request = http.request(url, { method, agent }, async (response) => {
            const chunks = [];
            for await (const chunk of response) chunks.push(chunk);
            resolve({ id: response.headers["lambda-runtime-aws-request-id"], body: Buffer.concat(chunks).toString() });
        });
        request.on("error", reject).end(body);
    });
}

async function main() {
    // The item is not needed; to ask for it opens the connection.
    const connection = new GetItemCommand({ TableName: TOKENS_TABLE, Key: marshall({ pk: "-", sk: "-" }) });
    await Promise.allSettled([keys(), dynamodb.send(connection)]);
    for (;;) {
        const { id, body } = await invocation("GET", "next");
        await invocation("POST", `${id}/response`, JSON.stringify(await answer(JSON.parse(body))));
    }
}

main();
