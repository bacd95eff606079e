/**
 * The promise of a publish. Emitting is often not awaited: a failure that nobody looks at is reported to a logger
 * instead of ending the process as an unhandled rejection.
 */
export class Publication<T> extends Promise<T> {
  #observed = false;

  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  /** Runs a publish and watches whether anyone waits for it. */
  static of<T>(work: Promise<T>, onUnseenFailure: (error: unknown) => void): Publication<T> {
    const publication = new Publication<T>((resolve, reject) => {
      work.then(resolve, reject);
    });
    Promise.prototype.then.call(publication, undefined, (error: unknown) => {
      if (!publication.#observed) onUnseenFailure(error);
    });
    return publication;
  }

  // `await` and `catch` come through here as well, because the constructor is not Promise itself.
  // biome-ignore lint/suspicious/noThenProperty: this is a promise; overriding `then` is how it learns of readers
  override then<Fulfilled = T, Rejected = never>(
    onFulfilled?: ((value: T) => Fulfilled | PromiseLike<Fulfilled>) | null,
    onRejected?: ((reason: unknown) => Rejected | PromiseLike<Rejected>) | null,
  ): Promise<Fulfilled | Rejected> {
    this.#observed = true;
    return super.then(onFulfilled, onRejected);
  }
}
