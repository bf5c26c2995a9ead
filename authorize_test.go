package broach

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAuthorizeLetsOnlySomeCallsRun(t *testing.T) {
	inPair(t, nil, func(c *cluster, provider, caller *Node) {
		ran := 0
		errTaken := Errorf(Unavailable, "the seat is taken")
		check := func(_ context.Context, call *Invocation) error {
			switch {
			case call.Meta["token"] == "taken":
				return errTaken
			case call.Meta["token"] != "Sesame":
				return errors.New("who are you?")
			case call.From != caller.Addr() && call.From != provider.Addr() || call.Args[0] != 7:
				return errors.New("somebody else")
			}
			return nil
		}
		require.NoError(t, provider.Register("secret", func(int) { ran++ }, Authorize(check)))
		require.NoError(t, caller.WaitFor(context.Background(), "secret", 1))
		for _, from := range []*Node{caller, provider} {
			secret := from.Caller("secret", NoRetry())
			_, err := secret.Call(context.Background(), 7)
			require.Equal(t, "who are you?", requireError(t, err, Unauthenticated, No).Message)
			_, err = secret.With(Meta("token", "taken")).Call(context.Background(), 7)
			requireError(t, err, Unavailable, No)
			_, err = secret.With(Meta("token", "Sesame")).Call(context.Background(), 8)
			requireError(t, err, Unauthenticated, No)
			before := ran
			_, err = secret.With(Meta("token", "Sesame")).Call(context.Background(), 7)
			require.NoError(t, err)
			require.Equal(t, before+1, ran)
			requireError(t, from.Caller("__hidden").Send(context.Background()), NotFound, No)
		}
		require.ErrorIs(t, provider.Register("open", func() {}, Authorize(nil)), ErrInvalidArgument)
	})
}
