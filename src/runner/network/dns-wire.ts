// The part of the DNS wire format (RFC 1035) that the answerer inside a sandbox needs: one question in, one answer out.
// Pure. Never follows compression pointers, so that a malformed packet cannot loop.

export const DNS_TYPE = { A: 1, PTR: 12, AAAA: 28, ANY: 255 } as const
export const DNS_CODE = { ok: 0, malformed: 1, failure: 2, noName: 3, notImplemented: 4 } as const
type DnsCode = (typeof DNS_CODE)[keyof typeof DNS_CODE]

const HEADER_BYTES = 12
const MAX_NAME_BYTES = 255
const MAX_LABEL_BYTES = 63
const CLASS_IN = 1
const POINTER_TO_QUESTION = 0xc00c

export interface DnsQuestion {
  /** Lower case, without the last dot. */
  name: string
  type: number
}

export interface DnsAnswer {
  code: DnsCode
  /** Dotted addresses for A, names for PTR. */
  records: { type: typeof DNS_TYPE.A | typeof DNS_TYPE.PTR; value: string; ttlSeconds: number }[]
}

export type ParsedQuery =
  | { kind: 'question'; question: DnsQuestion; end: number }
  | { kind: 'refused'; code: DnsCode }
  /** Too short to answer, or itself an answer: say nothing. */
  | { kind: 'ignored' }

export function parseQuery(packet: Buffer): ParsedQuery {
  if (packet.length < HEADER_BYTES) return { kind: 'ignored' }
  const flags = packet.readUInt16BE(2)
  if (flags & 0x8000) return { kind: 'ignored' }
  if (((flags >> 11) & 0xf) !== 0) return { kind: 'refused', code: DNS_CODE.notImplemented }
  if (packet.readUInt16BE(4) !== 1) return { kind: 'refused', code: DNS_CODE.malformed }
  const name = readName(packet, HEADER_BYTES)
  if (name === undefined || name.end + 4 > packet.length)
    return { kind: 'refused', code: DNS_CODE.malformed }
  const type = packet.readUInt16BE(name.end)
  return { kind: 'question', question: { name: name.text, type }, end: name.end + 4 }
}

/** Answers `packet`; undefined when it deserves no answer. `resolve` is asked for well-formed questions only. */
export function answerPacket(
  packet: Buffer,
  resolve: (question: DnsQuestion) => DnsAnswer,
): Buffer | undefined {
  const parsed = parseQuery(packet)
  if (parsed.kind === 'ignored') return undefined
  if (parsed.kind === 'refused') return header(packet, parsed.code, 0, 0)
  const answer = resolve(parsed.question)
  const records = answer.records.map(encodeRecord)
  return Buffer.concat([
    header(packet, answer.code, 1, records.length),
    packet.subarray(HEADER_BYTES, parsed.end),
    ...records,
  ])
}

/** A query packet, for tests and probes. */
export function encodeQuery(id: number, question: DnsQuestion): Buffer {
  const head = Buffer.alloc(HEADER_BYTES)
  head.writeUInt16BE(id, 0)
  head.writeUInt16BE(0x0100, 2)
  head.writeUInt16BE(1, 4)
  const tail = Buffer.alloc(4)
  tail.writeUInt16BE(question.type, 0)
  tail.writeUInt16BE(CLASS_IN, 2)
  return Buffer.concat([head, encodeName(question.name), tail])
}

function header(query: Buffer, code: DnsCode, questions: number, answers: number): Buffer {
  const head = Buffer.alloc(HEADER_BYTES)
  query.copy(head, 0, 0, 2)
  const asked = query.readUInt16BE(2)
  // An answer, with the query's opcode and "recursion desired", and "recursion available".
  head.writeUInt16BE(0x8080 | (asked & 0x7900) | code, 2)
  head.writeUInt16BE(questions, 4)
  head.writeUInt16BE(answers, 6)
  return head
}

function encodeRecord(record: DnsAnswer['records'][number]): Buffer {
  const value =
    record.type === DNS_TYPE.A
      ? Buffer.from(record.value.split('.').map(Number))
      : encodeName(record.value)
  const head = Buffer.alloc(HEADER_BYTES)
  head.writeUInt16BE(POINTER_TO_QUESTION, 0)
  head.writeUInt16BE(record.type, 2)
  head.writeUInt16BE(CLASS_IN, 4)
  head.writeUInt32BE(record.ttlSeconds, 6)
  head.writeUInt16BE(value.length, 10)
  return Buffer.concat([head, value])
}

function encodeName(name: string): Buffer {
  const labels = name === '' ? [] : name.split('.')
  const parts = labels.flatMap((label) => {
    const bytes = Buffer.from(label, 'latin1')
    return [Buffer.from([bytes.length]), bytes]
  })
  return Buffer.concat([...parts, Buffer.from([0])])
}

function readName(packet: Buffer, start: number): { text: string; end: number } | undefined {
  const labels: string[] = []
  let at = start
  for (;;) {
    const length = packet[at]
    if (length === undefined || length > MAX_LABEL_BYTES) return undefined
    if (length === 0) return { text: labels.join('.').toLowerCase(), end: at + 1 }
    if (at + 1 + length > packet.length || at + 1 + length - start > MAX_NAME_BYTES)
      return undefined
    labels.push(packet.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
}
