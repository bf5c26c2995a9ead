package broach

import (
	"encoding/binary"
	"time"

	"broach/internal/pace"
	"broach/internal/wire"
)

// Register offers a function under a name: at once in this process, and everywhere as soon as the peers have heard of it: a few
// milliseconds, and up to 0.1 s with thousands of functions. It works before and after joining. The rules for names and
// functions are in the package documentation; what breaks them is an InvalidArgument, as is a name that is taken. More than
// 10,000 functions, or a service table above 1 MiB, are TooLarge. A closed node returns ErrClosed.
func (n *Node) Register(name string, fn any, opts ...RegisterOption) error {
	f, err := newService(name, fn)
	if err != nil {
		return Errorf(InvalidArgument, "%w", err)
	}
	f.Most, f.interceptors = n.maxMessage, n.cfg.ServeInterceptors
	if err := f.apply(opts); err != nil {
		return Errorf(InvalidArgument, "register %s: %w", name, err)
	}
	f.intercept(fn)
	return n.change(func() (bool, error) { return n.offered.add(name, f) })
}

// Unregister takes a function back. Calls that run go on. A name that is not registered is NotFound; a closed node returns
// ErrClosed.
func (n *Node) Unregister(name string) error {
	if wire.IsOwn(name) { // such as a timer, which ends by Stop
		return Errorf(NotFound, "unregister %q: there is no such function", name)
	}
	return n.change(func() (bool, error) { return n.offered.remove(name) })
}

// change edits what is offered. The first change since the last table makes the loop plan the next.
func (n *Node) change(edit func() (first bool, err error)) error {
	if n.isClosed() {
		return ErrClosed
	}
	first, err := edit()
	if err != nil || !first {
		return err
	}
	return n.do(func(now time.Time) { n.tableAt = pace.Later(now, n.tableMade.Add(n.offered.pace())) })
}

// tellTable gives the peers our table as it is now.
func (n *Node) tellTable(now time.Time) {
	n.tableAt, n.tableMade = time.Time{}, now
	n.setTable(now, n.table.Add(1), n.offered.table())
	n.publish(now)
}

// setTable gives our table a version. It is the loop's, once that runs.
func (n *Node) setTable(now time.Time, version uint32, table []byte) {
	pulled := append(binary.BigEndian.AppendUint32(nil, version), table...)
	n.ownTable.Store(&pulled)
	n.members.SetTable(now, version, table)
}

// functionFor returns the function of that name if peers may call it, or nil.
func (n *Node) functionFor(name []byte) *service {
	if string(name) == tableService {
		return n.tables
	}
	return n.offered.forPeers(name)
}
