package broach

import (
	"context"
	"errors"
)

// Authorize lets only those calls of the function run for which check returns nil: by peers and by this process. It knows who calls by
// Invocation.From, the address of a member that has proven to be there and, where there are Config.Keys, to have one; what a caller says of itself
// is in Meta. An error refuses the call: an *Error with its Code, any other as Unauthenticated; its text reaches the caller, and the function did not
// run. Authorize is a ServeInterceptors with one Interceptor, so it stands where the options say.
func Authorize(check func(ctx context.Context, call *Invocation) error) RegisterOption {
	if check == nil {
		return ServeInterceptors(nil)
	}
	return ServeInterceptors(func(ctx context.Context, call *Invocation, next Handler) (any, error) {
		err := check(ctx, call)
		if err == nil {
			return next(ctx, call)
		}
		if _, ok := errors.AsType[*Error](err); !ok {
			err = Errorf(Unauthenticated, "%w", err)
		}
		return nil, err
	})
}
