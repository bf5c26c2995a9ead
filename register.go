package broach

import (
	"encoding/binary"
	"maps"
	"time"
)

// offering is what this node offers. It is immutable and replaced as a whole.
type offering struct {
	functions map[string]*function
	table     []byte // the service table of those that are not private
}

// RegisterOption says more about a function.
type RegisterOption func(*function)

// Register offers a function under a name: at once in this process, and everywhere as soon as the peers have heard of it. It
// works before and after joining. The rules for names and functions are in the package documentation; what breaks them is an
// InvalidArgument, as is a name that is taken. A closed node returns ErrClosed.
func (n *Node) Register(name string, fn any, opts ...RegisterOption) error {
	f, err := newFunction(name, fn)
	if err != nil {
		return Errorf(InvalidArgument, "%w", err)
	}
	for _, o := range opts {
		o(f)
	}
	return n.change(func(all map[string]*function) error {
		if all[name] != nil {
			return Errorf(InvalidArgument, "register %s: the name is taken", name)
		}
		all[name] = f
		return nil
	})
}

// Unregister takes a function back. Calls that run go on. A name that is not registered is NotFound; a closed node returns
// ErrClosed.
func (n *Node) Unregister(name string) error {
	return n.change(func(all map[string]*function) error {
		if all[name] == nil {
			return Errorf(NotFound, "unregister %s: there is no such function", name)
		}
		delete(all, name)
		return nil
	})
}

// change edits what is offered, and returns when this node's own view shows it.
func (n *Node) change(edit func(all map[string]*function) error) error {
	if n.isClosed() {
		return ErrClosed
	}
	if err := n.edit(edit); err != nil {
		return err
	}
	donec := make(chan struct{})
	err := n.do(func(now time.Time) {
		n.setTable(now, n.table.Add(1))
		n.publish(now)
		close(donec)
	})
	if err != nil {
		return err
	}
	select {
	case <-donec:
		return nil
	case <-n.provider.ctx.Done():
		return ErrClosed
	}
}

// edit puts an edited offering in place of the present one.
func (n *Node) edit(edit func(all map[string]*function) error) error {
	n.register.Lock()
	defer n.register.Unlock()
	all := make(map[string]*function)
	maps.Copy(all, n.offered.Load().functions)
	if err := edit(all); err != nil {
		return err
	}
	table, err := tableOf(all)
	if err != nil {
		return err
	}
	n.offered.Store(&offering{functions: all, table: table})
	return nil
}

// setTable gives our table a version. It is the loop's, once that runs.
func (n *Node) setTable(now time.Time, version uint32) {
	table := n.offered.Load().table
	pulled := append(binary.BigEndian.AppendUint32(nil, version), table...)
	n.ownTable.Store(&pulled)
	n.members.setTable(now, version, table)
}

// function returns the function of that name, or nil.
func (n *Node) function(name string) *function { return n.offered.Load().functions[name] }

// functionFor returns the function of that name if peers may call it, or nil.
func (n *Node) functionFor(name []byte) *function {
	switch {
	case string(name) == tableService:
		return n.tables
	case isPrivate(string(name)):
		return nil
	}
	return n.offered.Load().functions[string(name)]
}
