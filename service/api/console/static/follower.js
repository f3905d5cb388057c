// Answers that follow what changes quickly: one request at a time, always for the newest state.

/**
 * Asks for the newest state, skips those that were overtaken, and drops answers to what is no longer
 * asked: after `restart` nothing that was asked before is shown.
 * @template S, A
 */
export class Follower {
  /**
   * @param {(state: S, signal: AbortSignal) => Promise<A>} answer
   * @param {(answer: A, state: S) => void} show
   * @param {(error: unknown) => void} refuse
   */
  constructor(answer, show, refuse) {
    this.answer = answer;
    this.show = show;
    this.refuse = refuse;
    /** @type {{state: S} | null} */
    this.wanted = null;
    /** @type {Promise<void> | null} */
    this.running = null;
    this.abort = new AbortController();
  }

  /** Show nothing of what was asked before. */
  restart() {
    this.abort.abort();
    this.abort = new AbortController();
    this.wanted = null;
    this.running = null;
  }

  /**
   * Want the answer to a state, and to no older one that was not sent yet.
   * @param {S} state
   * @returns {Promise<void>} done when nothing is asked any more
   */
  follow(state) {
    this.wanted = { state };
    this.running ??= this.run(this.abort.signal);
    return this.running;
  }

  /** @param {AbortSignal} signal */
  async run(signal) {
    while (this.wanted && !signal.aborted) {
      const { state } = this.wanted;
      this.wanted = null;
      try {
        const answer = await this.answer(state, signal);
        if (!signal.aborted) this.show(answer, state);
      } catch (error) {
        if (!signal.aborted) this.refuse(error);
      }
    }
    if (!signal.aborted) this.running = null;
  }
}
