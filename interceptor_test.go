package broach

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// steps writes down what was passed, in order.
type steps struct {
	mu   sync.Mutex
	list []string
}

func (s *steps) add(step string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, step)
}

// take returns what was passed since it was last asked.
func (s *steps) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.list
	s.list = nil
	return list
}

// The protocol's own services have no Interceptors, and pulls of tables are not seen.
func TestTheProtocolsOwnCallsAreNotIntercepted(t *testing.T) {
	s := new(steps)
	note := func(ctx context.Context, call *Invocation, next Handler) (any, error) {
		s.add(call.Service)
		return next(ctx, call)
	}
	inPair(t, nil, func(c *cluster, provider, caller *Node) {
		for i := range 300 {
			require.NoError(t, provider.Register(manyName(i), func() {}))
		}
		require.NoError(t, caller.WaitFor(context.Background(), manyName(299), 1))
		require.Empty(t, s.take(), "of the pull")
		_, err := caller.Caller(tableService).Call(context.Background())
		requireError(t, err, NotFound, No)
		require.Empty(t, s.take())
		_, err = caller.Caller("").Call(context.Background())
		requireError(t, err, NotFound, No)
		require.Equal(t, []string{""}, s.take())
	}, func(cfg *Config) {
		cfg.CallInterceptors, cfg.ServeInterceptors = []Interceptor{note}, []Interceptor{note}
	})
}
