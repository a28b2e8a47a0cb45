'use strict';

fetch('/console/stack').then(answer => answer.json()).then(({token}) => Scalar.createApiReference('#reference', {
  url: '/openapi.yaml',
  baseServerURL: location.origin,
  servers: [{url: location.origin + '/api/io', description: 'cargo run'}],
  // Nothing from the network.
  withDefaultFonts: false,
  telemetry: false,
  agent: {disabled: true},
  showDeveloperTools: 'never',
  hideClientButton: true,
  authentication: {preferredSecurityScheme: 'authToken', securitySchemes: {authToken: {value: token}}},
}));
