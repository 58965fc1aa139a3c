// What an app hears of when it comes to the front.
export const AppState = { addEventListener: (event, listener) => (globalThis.appState = listener) };
