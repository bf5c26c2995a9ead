package wire

import (
	"encoding/binary"
	"math"
)

// The length of a message is known only when its last field has been written, and some fields change when it is sent
// again. These functions rewrite them in place, in a message that is alone in its frame.

// SetLength fills in the length of a frame whose body was appended to, and returns it. A body that is too long for a
// frame is left as it is: it goes as a transfer, by Unframe.
func SetLength(frame []byte) []byte {
	if n := len(frame) - FrameSize; n <= math.MaxUint16 {
		binary.BigEndian.PutUint16(frame[1:], uint16(n))
	}
	return frame
}

// Unframe turns a frame into what a transfer carries, the kind and the body, in the same memory. Afterwards frame is
// not a frame any more.
func Unframe(frame []byte) []byte {
	frame[FrameSize-1] = frame[0]
	return frame[FrameSize-1:]
}

// ExecutedIn is what an encoded Reply, with its frame or after Unframe, says of its handler.
func ExecutedIn(frame []byte) Executed {
	return Executed(frame[FrameSize+executedOffset] & executedMask)
}

// SetAfterChunks marks an encoded Reply with its frame as one that counts when the last chunk has come.
func SetAfterChunks(frame []byte) { frame[FrameSize+executedOffset] |= afterChunks }

// SetRequestID fills in slot and seq of an encoded Request.
func SetRequestID(frame []byte, slot uint16, seq uint32) {
	binary.BigEndian.PutUint16(frame[FrameSize:], slot)
	binary.BigEndian.PutUint32(frame[FrameSize+2:], seq)
}
