package broach

import (
	"context"
	"errors"
	"strings"
)

// explained is the answer to a call whose function returned err. The methods of err are the user's: when one panics, as those of a nil
// pointer in an error do as a rule, the function has panicked.
func explained(ctx context.Context, err error) error {
	answer := failure(Application, Yes, "%s", textOf(err)).because(err)
	switch made, ok := errors.AsType[*Error](err); {
	case ok && made.isMade(): // by Errorf, not from a call of this function's own
		answer.Code = made.Code.ofHandler()
	case ctx.Err() == nil || !errors.Is(err, ctx.Err()):
	case errors.Is(err, context.DeadlineExceeded):
		answer.Code = DeadlineExceeded
	case errors.Is(err, context.Canceled):
		answer.Code = Canceled
	}
	return answer
}

// textOf is the text of what a function returned. A *Error in it is told within the error of the call that it ends, which says broach,
// the code and whether the function ran: what a chain of calls came to reads once.
func textOf(err error) string {
	text := err.Error()
	e, ok := errors.AsType[*Error](err)
	for ok && e.isMade() && e.cause != nil { // by Errorf: reads as it was formatted
		e, ok = errors.AsType[*Error](e.cause)
	}
	switch {
	case !ok:
		return text
	case err == e && e.isMade():
		return e.Message
	}
	return strings.Replace(text, e.Error(), e.brief(), 1)
}
