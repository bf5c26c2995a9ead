package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"

	"broach"
)

// Functions that stream. What such a function takes as its last parameter is a sequence: on the command line the
// arguments from there on, or, for a single -, the JSON documents of standard input, each sent as soon as it is read.
// What it returns is printed as it comes, a line for each item.

// splitStream takes the items of a sequence off the arguments. fixed is how many come before them.
func splitStream(n int, d *broach.Description) (fixed int, isStream bool) {
	if d == nil || !d.StreamsIn {
		return n, false
	}
	return min(n, len(d.Params)-1), true
}

// itemsOf is a sequence of what stands on the command line.
func itemsOf(values []any) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		for _, v := range values {
			if !yield(v, nil) {
				return
			}
		}
	}
}

// itemsIn is a sequence of the JSON documents that are read. One that is none, or does not fit, gives the call up.
func itemsIn(in io.Reader, t broach.Type, types namedTypes) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		d := json.NewDecoder(in)
		for n := 1; ; n++ {
			var text json.RawMessage
			err := d.Decode(&text)
			if errors.Is(err, io.EOF) {
				return
			}
			var v any
			if err == nil {
				v, err = parseJSON(string(text))
			}
			if err == nil {
				v, err = toValue(v, t, types)
			}
			if err != nil {
				yield(nil, usagef("standard input, item %d: %w", n, err))
				return
			}
			if !yield(v, nil) {
				return
			}
		}
	}
}

// streamed makes the last argument a sequence, where the function takes one.
func streamed(values []any, d *broach.Description) []any {
	fixed, isStream := splitStream(len(values), d)
	if !isStream {
		return values
	}
	return append(values[:fixed:fixed], itemsOf(values[fixed:]))
}

// streams reports whether a function does, either way.
func streams(d *broach.Description) bool { return d != nil && (d.StreamsIn || d.StreamsOut) }

// noStreams refuses a function that streams, where a command cannot have that.
func noStreams(d *broach.Description, command string) error {
	if streams(d) {
		return usagef("%s streams: %s is for functions that do not, broach call is for both", d.Name, command)
	}
	return nil
}

// printStream prints the items of a result as they come.
func (a *app) printStream(ctx context.Context, c *broach.Caller, d *broach.Description, values []any) error {
	for item, err := range broach.Stream[any](ctx, c, values...) {
		if err != nil {
			return err
		}
		if err := a.emitJSON(resultOf(item, d)); err != nil {
			return err
		}
	}
	return nil
}

// limit is the ctx of a call: a stream has no deadline, unless somebody asks for one.
func (a *app) limit(ctx context.Context, d *broach.Description) (context.Context, context.CancelFunc) {
	if streams(d) && !a.isTimed {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, a.timeout)
}
