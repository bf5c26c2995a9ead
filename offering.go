package broach

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"broach/internal/codec"
	"broach/internal/link"
	"broach/internal/member"
	"broach/internal/wire"
)

const (
	// between two tables, at least: a program registers its functions one after the other
	tablePace = 5 * time.Millisecond
	// and for each function, so that a large table that changes all the time costs little
	functionPace = 10 * time.Microsecond
)

// offering is what this node offers. It may be used by many goroutines at once.
type offering struct {
	mu        sync.RWMutex
	functions map[string]*service
	public    int  // of them are not private
	size      int  // of the service table of these, at most
	untold    bool // it is not what the last table says
}

func newOffering() offering { return offering{functions: make(map[string]*service)} }

// get returns the function of that name, or nil.
func (o *offering) get(name string) *service {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.functions[name]
}

// forPeers returns the function of that name if peers may call it, or nil.
func (o *offering) forPeers(name []byte) *service {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if isPrivate(string(name)) {
		return nil
	}
	return o.functions[string(name)]
}

// addFunction takes up a function. It reports whether this is the first change since the last table.
func (o *offering) addFunction(name string, f *service) (first bool, _ error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.functions[name] != nil {
		return false, Errorf(InvalidArgument, "register %s: the name is taken", name)
	}
	if !isPrivate(name) {
		if err := o.makeRoom(name, f); err != nil {
			return false, err
		}
		o.public++
	}
	o.functions[name] = f
	return o.changed(), nil
}

// makeRoom checks the limits of the table. Its exact size, with shared beginnings of names left out, is found only when
// the simple sum is too much.
func (o *offering) makeRoom(name string, f *service) error {
	if o.public == wire.MaxFunctions {
		return Errorf(TooLarge, "a node offers at most %d functions", wire.MaxFunctions)
	}
	o.size += wire.RowSize(f.row())
	if o.size <= wire.MaxTable-wire.TableFloor {
		return nil
	}
	rows := o.rows()
	i, _ := slices.BinarySearchFunc(rows, name,
		func(row wire.Function, name string) int { return strings.Compare(row.Name, name) })
	o.size = len(wire.AppendTable(nil, slices.Insert(rows, i, f.row())))
	if o.size > wire.MaxTable {
		return Errorf(TooLarge, "the service table would have %d bytes, %d are allowed", o.size, wire.MaxTable)
	}
	return nil
}

// removeFunction takes a function back. A table without it is never larger.
func (o *offering) removeFunction(name string) (first bool, _ error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.functions[name] == nil {
		return false, Errorf(NotFound, "unregister %s: there is no such function", name)
	}
	delete(o.functions, name)
	if !isPrivate(name) {
		o.public--
	}
	return o.changed(), nil
}

// changed notes a change. mu is held.
func (o *offering) changed() (first bool) {
	first = !o.untold
	o.untold = true
	return first
}

// table is the service table of what is offered now.
func (o *offering) table() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.untold = false
	return wire.AppendTable(nil, o.rows())
}

// pace is how long to wait between two tables.
func (o *offering) pace() time.Duration {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return max(tablePace, time.Duration(o.public)*functionPace)
}

// rows lists the functions that are not private, in the order of their names. mu is held.
func (o *offering) rows() []wire.Function {
	rows := make([]wire.Function, 0, o.public)
	for name, f := range o.functions {
		if !isPrivate(name) {
			rows = append(rows, f.row())
		}
	}
	slices.SortFunc(rows, func(a, b wire.Function) int { return strings.Compare(a.Name, b.Name) })
	return rows
}

// list is what peers are told of all functions that are neither private nor the protocol's own, in the order of their
// names.
func (o *offering) list() []wire.Function {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return slices.DeleteFunc(o.rows(), func(f wire.Function) bool { return wire.IsOwn(f.Name) })
}

// tableService is the protocol's own function by which a peer pulls our service table, PROTOCOL.md [TAB-3].
const tableService = "\x00table"

// pullTimeout is how long a pull may take. The loop asks again when it failed.
const pullTimeout = 3 * time.Second

// tableFunction is what answers tableService.
func (n *Node) tableFunction() *service {
	f, err := newService("table", func() []byte { return *n.serving.ownTable.Load() })
	if err != nil {
		panic("broach: internal error: " + err.Error())
	}
	return f
}

// pull asks a peer for its service table, in the background.
func (n *Node) pull(now time.Time, p member.Pull) {
	started := n.background.TryGo(func() error {
		version, table, err := n.pullFrom(p.Link)
		return n.do(func(now time.Time) { n.loop.members.Pulled(now, p.Process, version, table, err == nil) })
	})
	if !started {
		n.loop.members.Pulled(now, p.Process, 0, nil, false)
	}
}

// pullFrom makes the call.
func (n *Node) pullFrom(token uint64) (version uint32, table []byte, err error) {
	l := n.linking.tokens.Link(token)
	if l == nil {
		return 0, nil, link.ErrDown
	}
	ctx, cancel := context.WithTimeout(n.serving.provider.ctx, pullTimeout)
	defer cancel()
	now := time.Now()
	p, failed := n.Caller(tableService).attempt(ctx, now, l.visit(), outCall{deadline: now.Add(pullTimeout)})
	if failed != nil {
		return 0, nil, failed
	}
	defer n.linking.wires.FreeCall(p)
	b, err := codec.DecodeAs[[]byte](p.Body)
	if err == nil && len(b) < 4 {
		err = fmt.Errorf("a table of %d bytes", len(b))
	}
	if err != nil {
		return 0, nil, err
	}
	return binary.BigEndian.Uint32(b), b[4:], nil
}
