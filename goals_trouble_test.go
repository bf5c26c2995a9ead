package broach

// stop stops a node as SIGSTOP does: it reads nothing, and what writes waits, its loop first of all. Goroutines that are in
// the middle of a call go on.
func (c *cluster) stop(n *Node) (goOn func()) {
	c.net.Pause(n.Addr())
	return func() { c.net.Resume(n.Addr()) }
}

// isolate cuts a node off from all others, there and back.
func (c *cluster) isolate(n *Node) (undo func()) {
	set := func(loss float64) {
		for _, other := range c.nodes {
			c.net.SetLink(n.Addr(), other.Addr(), lossy(loss))
			c.net.SetLink(other.Addr(), n.Addr(), lossy(loss))
		}
	}
	set(1)
	return func() { set(0) }
}
