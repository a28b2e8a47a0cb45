'use strict';

const stack = fetch('/console/stack').then(answer => answer.json());
const description = fetch('/openapi.yaml').then(answer => answer.text());

Promise.all([stack, description]).then(([{token, jwt}, description]) => Scalar.createApiReference('#reference', {
  // The one example that is not good for ever.
  content: description.replace(/(name: jwtToken[^]*? example: )\S+/, `$1${jwt}`),
  baseServerURL: location.origin,
  servers: [{url: location.origin + '/api/io', description: 'cargo run'}],
  // Nothing from the network.
  withDefaultFonts: false,
  telemetry: false,
  agent: {disabled: true},
  showDeveloperTools: 'never',
  hideClientButton: true,
  // As its own colours are too light to be read by everybody.
  customCss: '.light-mode.light-mode {--scalar-color-3: #666; --scalar-color-green: #00734d; --scalar-color-red: #c80000; --scalar-color-orange: #a63c00} ' +
    '.dark-mode.dark-mode {--scalar-color-3: #999; --scalar-color-red: #ff5c5c}',
  authentication: {preferredSecurityScheme: 'authToken', securitySchemes: {authToken: {value: token}}},
}));
