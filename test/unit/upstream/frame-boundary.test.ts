/** Where frames end, however the network cuts them. */
import { array, assert, boolean, constantFrom, nat, oneof, property, record } from 'fast-check'
import t from 'tap'
import { closeFrame, FrameBoundary } from '../../../src/upstream/frame-boundary.js'
import { CLOSE, FrameParser, frame } from '../../support/websocket-frames.js'

const anyFrame = record({
  size: oneof(nat(300), constantFrom(0, 125, 126, 127, 65_535, 65_536, 70_000)),
  opcode: constantFrom(0, 1, 2, 9, 10),
  fin: boolean(),
  masked: boolean(),
  reserved: constantFrom(0, 0x10, 0x40)
}).map(({ size, opcode, ...options }) => frame(Buffer.alloc(size, 0x88), opcode, options))

t.test('a boundary is seen after each frame and nowhere else', async () => {
  assert(
    property(array(anyFrame, { minLength: 1, maxLength: 5 }), array(nat(80_000)), (frames, cuts) => {
      const bytes = Buffer.concat(frames)
      const ends = new Set<number>([0])
      let end = 0
      for (const each of frames) {
        end += each.length
        ends.add(end)
      }
      const boundary = new FrameBoundary()
      let at = 0
      for (const cut of [...cuts.filter(each => each < bytes.length).toSorted((a, b) => a - b), bytes.length]) {
        boundary.follow(bytes.subarray(at, cut))
        at = cut
        if (boundary.reached !== ends.has(at)) return false
      }
      return !boundary.closed
    })
  )
})

t.test('the rest of a frame under way ends where the frame does', async () => {
  assert(
    property(anyFrame, anyFrame, nat(80_000), (first, second, cut) => {
      const at = 1 + (cut % (first.length - 1))
      const boundary = new FrameBoundary()
      boundary.follow(first.subarray(0, at))
      return boundary.finish(Buffer.concat([first.subarray(at), second])) === first.length - at && boundary.reached
    })
  )
})

t.test('every byte by itself', async t => {
  const boundary = new FrameBoundary()
  const bytes = frame(Buffer.alloc(70_000), 2, { masked: true })
  for (const byte of bytes.subarray(0, -1)) {
    boundary.follow(Buffer.from([byte]))
    if (boundary.reached) t.fail('inside a frame')
  }
  boundary.follow(bytes.subarray(-1))
  t.ok(boundary.reached)
})

t.test('a close frame is noticed, also when only its beginning is here', async t => {
  const boundary = new FrameBoundary()
  boundary.follow(frame('x'))
  t.notOk(boundary.closed)
  boundary.follow(frame('', CLOSE).subarray(0, 1))
  t.ok(boundary.closed)
})

t.test('our own close frame is one', async t => {
  const [parsed] = new FrameParser().push(closeFrame(4401, 'INVALID_SESSION'))
  t.match(parsed, { fin: true, opcode: CLOSE })
  t.equal(parsed?.data.readUInt16BE(0), 4401)
  t.equal(parsed?.data.toString('utf8', 2), 'INVALID_SESSION')
})
