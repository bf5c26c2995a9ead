package broach

import (
	"context"

	"broach/internal/codec"
)

// Send calls the function and does not wait for its outcome: it returns when a provider has accepted the call, which then runs there whatever
// becomes of ctx, of this node or of the connection; only the end of the provider can prevent it. An error says that nobody accepted it, or,
// with Executed: Maybe, that this is not known. What goes wrong later, be it that the arguments do not fit, is in the provider's log
// only. Within the function, ctx has no deadline.
func (c *Caller) Send(ctx context.Context, args ...any) error {
	if len(c.opts.interceptors) > 0 {
		return c.sendIntercepted(ctx, args)
	}
	p, failed := c.do(ctx, outCall{Arguments: codec.Arguments{List: args}, oneWay: true})
	if failed != nil {
		return failed
	}
	c.node.freePending(p)
	return nil
}
