/** Who listens to what. A listener that throws is reported and disturbs nobody. */
type Listener = (...args: any[]) => void;
export declare class Listeners {
    #private;
    /** Adds a listener; the function given back removes it. */
    add(event: string | symbol, listener: Listener, once: boolean, tag?: unknown): () => void;
    /** Removes by function, by tag, or all of this event. */
    remove(event: string, listenerOrTag?: unknown): void;
    /** Calls everyone who listened when it began, in order. */
    fire(event: string | symbol, ...args: unknown[]): void;
}
export {};
