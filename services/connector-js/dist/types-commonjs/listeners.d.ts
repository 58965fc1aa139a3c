/** Listeners by event. An error that a listener throws is logged and does not affect the others. */
/** What the name of an event must be. */
export declare const NAME = "a non-empty string";
type Listener = (...args: any[]) => void;
/** Calls code of the application. An error that it throws is logged and goes no further. */
export declare function guarded<T>(what: string, call: () => T): T | undefined;
export declare class Listeners {
    #private;
    /** Adds a listener. Returns a function that removes it. */
    add(event: string | symbol, listener: Listener, once: boolean, tag?: unknown): () => void;
    /** Removes the listeners of an event: this function, those with this tag, or all. */
    remove(event: string, listenerOrTag?: unknown): void;
    /** Calls the listeners in order; those that are added meanwhile are not called. */
    fire(event: string | symbol, ...args: unknown[]): void;
}
export {};
