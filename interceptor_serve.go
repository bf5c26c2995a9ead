package broach

import (
	"context"
	"maps"

	"broach/internal/codec"
	"broach/internal/function"
)

// intercept makes the function run within its Interceptors, if it has any. It is called before the function is offered.
func (f *service) intercept(fn any) {
	if len(f.interceptors) == 0 {
		return
	}
	f.Within(fn, func(ctx context.Context, args []any, run function.Runner) (any, error) {
		s := serving{request: ctx.Value(requestKey{}).(*request), run: run}
		return chain(f.interceptors, s.next)(ctx, s.invocation(f.name, args))
	})
}

// needsRequest reports that somebody may ask for the Invocation and the context of a call.
func (f *service) needsRequest() bool {
	return f.HasContext() || len(f.interceptors) > 0 || f.take != nil
}

// serving is one call on its way through the Interceptors of its function.
type serving struct {
	request *request
	run     function.Runner // of the function
}

// invocation is the call as the Interceptors see it.
func (s *serving) invocation(name string, args []any) *Invocation {
	meta := make(map[string]string)
	maps.Copy(meta, s.request.meta) // which other subscribers of an event have too
	return &Invocation{Service: name, From: s.request.from(), Meta: meta, Args: args}
}

// next is the innermost Handler: it runs the function.
func (s *serving) next(ctx context.Context, call *Invocation) (any, error) {
	v, err := s.run(ctx, call.Args, func() {
		s.request.meta = call.Meta
		s.request.began.Store(true)
	})
	if e, ok := err.(*codec.Error); ok {
		return nil, ownError(e)
	}
	return v, err
}
