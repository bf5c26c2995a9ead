package wire

import "strings"

// Code is the number of an error, PROTOCOL.md 2.6. It is no error by itself: what it means to a caller, the caller's
// side says. 0 is none.
type Code uint32

// The codes of PROTOCOL.md 2.6. Those from 1000 up are the application's own.
const (
	Application      Code = 1
	InvalidArgument  Code = 2
	NotFound         Code = 3
	Unavailable      Code = 4
	Unreachable      Code = 5
	DeadlineExceeded Code = 6
	Canceled         Code = 7
	Overloaded       Code = 8
	CircuitOpen      Code = 9
	Draining         Code = 10
	TooLarge         Code = 11
	Internal         Code = 12
	Unauthenticated  Code = 13
	Closed           Code = 14
)

// Executed says whether the handler of a failed call ran.
type Executed uint8

// The values of Executed. Maybe is what nobody knows.
const (
	ExecutedMaybe Executed = 0
	ExecutedNo    Executed = 1
	ExecutedYes   Executed = 2
)

// MaxText is how long the text of an error may be, in bytes: a Reply has room for so much. An ellipsis may follow.
const MaxText = 8 << 10

// Shortened is a text that an error may have. What it quotes may be as long as a message.
func Shortened(text string) string {
	if len(text) > MaxText {
		return strings.ToValidUTF8(text[:MaxText], "") + "…"
	}
	return text
}
