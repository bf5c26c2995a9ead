package broach

import (
	"context"
	"fmt"
	"time"

	"broach/internal/link"
	"broach/internal/stream"
	"broach/internal/wire"
)

// How a call that streams goes over a link: PROTOCOL.md 3.6. The link carries the pipes, and says in the metadata of
// the Request what streams; here is room for that.

// pair is what an attempt streams, for its link; nil: nothing.
func (s *streams) pair() *stream.Pair {
	if s.In == nil && s.Out == nil {
		return nil
	}
	return &stream.Pair{In: s.In, Out: s.Out}
}

// plain is the Caller of a call that looked as if it streamed, and does not.
func (c *Caller) plain() *Caller {
	of := *c
	of.opts.isStreaming = false
	return &of
}

// beginRead has an attempt without a deadline end when this node leaves, which would wait for it. One that is made here
// ends as all do that run here.
func (c *Caller) beginRead(s *streams) {
	c.node.serving.provider.reads.begin(s, func(error) {
		s.failFeed(c.newError(Draining, Maybe, "this node leaves, and does not wait for a stream without a deadline"))
	})
}

// attemptStreaming is attempt for a call that streams.
func (c *Caller) attemptStreaming(
	ctx context.Context, now time.Time, l *link.Link, out *outCall,
) (*link.Call, *Error) {
	if s := out.streams; s.isUntimed {
		c.beginRead(s)
		defer c.node.serving.provider.reads.end(s)
	}
	pipes := out.streams.pair()
	if pipes == nil {
		return c.send(ctx, now, l, out, out.meta, nil)
	}
	meta, failed := c.metaOf(out, pipes)
	if failed != nil {
		return nil, failed
	}
	return c.send(ctx, now, l, out, meta, pipes)
}

// metaOf are the metadata of an attempt, with room for what its link says of its streams.
func (c *Caller) metaOf(out *outCall, s *stream.Pair) ([]byte, *Error) {
	b := append(wire.Streams{HasIn: s.In != nil, HasOut: s.Out != nil}.AppendPairs(nil), out.meta...)
	if len(b) > wire.MaxPairs {
		return nil, c.newError(InvalidArgument, No, fmt.Sprintf(
			"the metadata of a call that streams have %d bytes, of %d at most", len(out.meta),
			wire.MaxPairs-len(b)+len(out.meta)))
	}
	return b, nil
}
