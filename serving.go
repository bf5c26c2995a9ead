package broach

import "broach/internal/wire"

// A function that does not serve for a while stays in the table, so that callers know that it exists: they are told Unavailable, not NotFound.

// SetServing says whether a function of this node is to be called. A function serves from the moment it is registered. While it does not, callers
// pass this node over as soon as they have heard of it, with the pace of Register, and a call that comes nevertheless is answered
// Unavailable, with Executed: No, and made at another provider. That holds for calls of this process, too: they go elsewhere, or fail if
// there is no other provider. Calls that run go on. A name that is not registered is NotFound; a closed node returns ErrClosed.
func (n *Node) SetServing(name string, serving bool) error {
	return n.change(func() (bool, error) { return n.offered.setServing(name, serving) })
}

// setServing marks a function. It reports whether this is the first change since the last table.
func (o *offering) setServing(name string, serving bool) (first bool, _ error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f := o.functions[name]
	if f == nil || wire.IsOwn(name) {
		return false, Errorf(NotFound, "set serving %s: there is no such function", name)
	}
	if !f.paused.CompareAndSwap(serving, !serving) {
		return false, nil
	}
	return o.changed(), nil
}

// serving returns the function of that name if it is there and serves, or nil.
func (o *offering) serving(name string) *service {
	if f := o.get(name); f != nil && !f.paused.Load() {
		return f
	}
	return nil
}
