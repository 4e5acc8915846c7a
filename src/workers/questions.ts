/** What one side of a channel has asked the other one, and who waits for the answers. */
import type { QuestionId } from "./messages.ts";

/** Questions with answers of one kind. */
export class Questions<Answer> {
  readonly #open = new Map<QuestionId, (answer: Answer) => void>();
  #last: QuestionId = 0;

  /** Returns the number under which the answer will come. */
  add(onAnswer: (answer: Answer) => void): QuestionId {
    this.#last += 1;
    this.#open.set(this.#last, onAnswer);
    return this.#last;
  }

  /** Each question is answered once. */
  answer(question: QuestionId, answer: Answer): void {
    const onAnswer = this.#open.get(question);
    this.#open.delete(question);
    onAnswer?.(answer);
  }

  /** Nobody is left to answer: all that are open get this. */
  answerAll(answer: Answer): void {
    for (const question of this.#open.keys()) this.answer(question, answer);
  }
}
