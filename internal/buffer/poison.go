package buffer

import "broach/internal/race"

// poison is what a test finds in place of what it should not read any more.
var poison = [256]byte{}

func init() {
	for i := range poison {
		poison[i] = 0xdb
	}
}

// Poison overwrites bytes that nobody uses any more, as far as they could be used, where the race detector is on. To it
// that is a write: so it reports all who read or write them without having been handed them anew, and who reads them
// later finds no message there. Elsewhere it does nothing.
func Poison(b []byte) {
	if !race.Enabled {
		return
	}
	for b = b[:cap(b)]; len(b) > 0; {
		b = b[copy(b, poison[:]):]
	}
}
