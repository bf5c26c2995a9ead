package clustertest

import (
	"context"
	"errors"

	"broach"

	"github.com/stretchr/testify/require"
)

// KnowsName reports whether a node knows a name, be it of somebody who cannot be called now: a call of a name that it
// does not know goes nowhere. It may be one of the protocol's own, which Services does not show.
func KnowsName(n *broach.Node, name string) bool {
	_, err := n.Caller(name).Call(context.Background())
	var e *broach.Error
	return !errors.As(err, &e) || e.Code != broach.NotFound || e.Node != ""
}

// TableVersion is the version of a node's service table that another one has. It rises with each change.
func (c *Cluster) TableVersion(by, of *broach.Node) uint32 {
	c.T.Helper()
	for _, p := range by.Stats().Peers {
		if p.Addr == of.Addr() {
			return p.TableVersion
		}
	}
	require.Fail(c.T, "they have no link", "%v and %v", by.Addr(), of.Addr())
	return 0
}
