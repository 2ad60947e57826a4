import { UnexpectedAnswerError } from '../errors.js';

/** An event that is longer than this many characters is none of a server that means well. */
const LONGEST_EVENT = 8 * 1024 * 1024;

/** Takes the text of an event stream in pieces and gives the data of its events (WHATWG HTML, section 9.2.6). */
export class EventParser {
  #rest = '';
  #data: string[] = [];
  #length = 0;

  /** The data of the events that this text completes. Throws UnexpectedAnswerError for an event without end. */
  push(text: string): string[] {
    const lines = (this.#rest + text).split(LINE_END);
    this.#rest = lines.pop() ?? '';
    const events: string[] = [];
    for (const line of lines) {
      if (line !== '') {
        this.#take(line);
      } else if (this.#data.length > 0) {
        events.push(this.#data.join('\n'));
        this.#data = [];
        this.#length = 0;
      }
    }
    this.#check(this.#length + this.#rest.length);
    return events;
  }

  /** Of the fields only `data` is used here; a line that begins with a colon is a comment. */
  #take(line: string): void {
    const [, name, value] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
    if (name === 'data') {
      this.#data.push(value ?? '');
      this.#length += line.length;
      this.#check(this.#length);
    }
  }

  #check(length: number): void {
    if (length > LONGEST_EVENT) {
      throw new UnexpectedAnswerError(`The server sends an event of more than ${LONGEST_EVENT} characters.`);
    }
  }
}

/** The last CR of a text may be half of a CRLF: it ends a line only once the next character is there. */
const LINE_END = /\r\n|\n|\r(?!$)/;
