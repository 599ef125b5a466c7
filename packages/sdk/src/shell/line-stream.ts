/** Output as it comes: an async iterable that is fed from outside. */

/** A stream of text pieces. Several readers each get all pieces. */
export class TextStream implements AsyncIterable<string> {
  readonly #pieces: string[] = [];
  #ended = false;
  #error: { readonly cause: unknown } | undefined;
  #waiting: (() => void)[] = [];

  push(text: string): void {
    this.#pieces.push(text);
    this.#wake();
  }

  end(error?: { readonly cause: unknown }): void {
    this.#ended = true;
    this.#error = error;
    this.#wake();
  }

  /** Whether anything came yet. */
  get started(): boolean {
    return this.#pieces.length > 0;
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resume of waiting) resume();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<string> {
    for (let next = 0; ; ) {
      const piece = this.#pieces[next];
      if (piece !== undefined) {
        next++;
        yield piece;
      } else if (this.#ended) {
        if (this.#error) throw this.#error.cause;
        return;
      } else {
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
      }
    }
  }
}

/** Splits pieces into lines. */
export async function* linesOf(
  pieces: AsyncIterable<string>,
  delimiter: string | RegExp = /\r?\n/,
): AsyncGenerator<string> {
  let rest = '';
  for await (const piece of pieces) {
    const parts = (rest + piece).split(delimiter);
    rest = parts.pop() ?? '';
    yield* parts;
  }
  if (rest !== '') yield rest;
}
