package function

import (
	"errors"
	"io"

	"broach/internal/codec"
	"broach/internal/stream"
	"broach/internal/wire"
)

// EachItem hands items to take, until the stream ends or take wants no other: then it reports that it was left. Its
// errors are those of the Pipe, stream.ErrOver among them, and a *codec.Error for an item that is malformed, or that
// take does not read.
func EachItem(items *stream.Items, done <-chan struct{}, take Take) (wasLeft bool, _ error) {
	d := codec.OpenItems()
	defer d.Close()
	for n := 1; ; n++ {
		b, err := items.Next(done)
		switch {
		case err == io.EOF:
			return false, nil
		case isMalformed(err):
			return false, codec.Failed(wire.Internal, wire.ExecutedYes, "item %d: %v", n, err).Because(err)
		case err == stream.ErrRoom:
			return false, codec.Failed(wire.Overloaded, wire.ExecutedYes, "item %d: %v", n, err)
		case err != nil:
			return false, err
		}
		if err := d.Begin(b); err != nil {
			return false, codec.ItemError(n, err)
		}
		goOn, err := take(d)
		switch {
		case err != nil:
			return false, codec.ItemError(n, err)
		case !goOn:
			return true, nil
		}
	}
}

func isMalformed(err error) bool {
	_, ok := errors.AsType[stream.Malformed](err)
	return ok
}
