package calls

import (
	"context"
	"errors"
	"testing"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

func TestAuthorizeLetsOnlySomeCallsRun(t *testing.T) {
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		ran := 0
		errTaken := broach.Errorf(broach.Unavailable, "the seat is taken")
		check := func(_ context.Context, call *broach.Invocation) error {
			switch {
			case call.Meta()["token"] == "taken":
				return errTaken
			case call.Meta()["token"] != "Sesame":
				return errors.New("who are you?")
			case call.From != caller.Addr() && call.From != provider.Addr() || call.Args()[0] != 7:
				return errors.New("somebody else")
			}
			return nil
		}
		require.NoError(t, provider.Register("secret", func(int) { ran++ }, broach.Authorize(check)))
		require.NoError(t, caller.WaitFor(context.Background(), "secret", 1))
		for _, from := range []*broach.Node{caller, provider} {
			secret := from.Caller("secret", broach.NoRetry())
			_, err := secret.Call(context.Background(), 7)
			require.Equal(t, "who are you?",
				clustertest.RequireError(t, err, broach.Unauthenticated, broach.No).Message)
			_, err = secret.With(broach.Meta("token", "taken")).Call(context.Background(), 7)
			clustertest.RequireError(t, err, broach.Unavailable, broach.No)
			_, err = secret.With(broach.Meta("token", "Sesame")).Call(context.Background(), 8)
			clustertest.RequireError(t, err, broach.Unauthenticated, broach.No)
			before := ran
			_, err = secret.With(broach.Meta("token", "Sesame")).Call(context.Background(), 7)
			require.NoError(t, err)
			require.Equal(t, before+1, ran)
			clustertest.RequireError(t, from.Caller("__hidden").Send(context.Background()), broach.NotFound, broach.No)
		}
		require.ErrorIs(t, provider.Register("open", func() {}, broach.Authorize(nil)), broach.ErrInvalidArgument)
	})
}
