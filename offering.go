package broach

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"broach/internal/balance"
	"broach/internal/codec"
	"broach/internal/function"
	"broach/internal/link"
	"broach/internal/member"
	"broach/internal/stream"
	"broach/internal/tally"
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
	served    *tally.Table // what is counted of them
	public    int          // of them are not private
	size      int          // of the service table of these, at most
	untold    bool         // it is not what the last table says
}

func newOffering(served *tally.Table) offering {
	return offering{functions: make(map[string]*service), served: served}
}

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
	if err := o.add(name, f); err != nil {
		return false, err
	}
	return o.changed(), nil
}

// addFunctions takes up all of them, or none: then it says all that is wrong.
func (o *offering) addFunctions(list []*service) (first bool, _ error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var taken []error
	for _, f := range list {
		if o.functions[f.name] != nil {
			taken = append(taken, fmt.Errorf("register %s: the name is taken", f.name))
		}
	}
	if len(taken) > 0 {
		return false, refused(InvalidArgument, "%w", errors.Join(taken...))
	}
	for i, f := range list {
		if err := o.add(f.name, f); err != nil {
			for _, f := range list[:i] {
				o.remove(f.name)
			}
			return false, err
		}
	}
	return o.changed(), nil
}

// add is addFunction where mu is held.
func (o *offering) add(name string, f *service) error {
	if o.functions[name] != nil {
		return refused(InvalidArgument, "register %s: the name is taken", name)
	}
	if !isPrivate(name) {
		if err := o.makeRoom(name, f); err != nil {
			return err
		}
		o.public++
	}
	if !wire.IsOwn(name) {
		f.counts = o.served.Cell(name)
	}
	o.functions[name] = f
	return nil
}

// makeRoom checks the limits of the table. Its exact size, with shared beginnings of names left out, is found only when
// the simple sum is too much.
func (o *offering) makeRoom(name string, f *service) error {
	if o.public == wire.MaxFunctions {
		return refused(TooLarge, "a node offers at most %d functions and topics that it wants", wire.MaxFunctions)
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
		return refused(TooLarge, "the service table would have %d bytes, %d are allowed", o.size, wire.MaxTable)
	}
	return nil
}

// removeFunction takes a function back.
func (o *offering) removeFunction(name string) (first bool, _ error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.functions[name] == nil {
		return false, refused(NotFound, "unregister %s: there is no such function", name)
	}
	o.remove(name)
	return o.changed(), nil
}

// removeFunctions takes back what was registered with RegisterAll under a name.
func (o *offering) removeFunctions(name string) (first bool, _ error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	none := true
	for full, f := range o.functions {
		if f.methodOf == name {
			o.remove(full)
			none = false
		}
	}
	if none {
		return false, refused(NotFound, "unregister %s: there are no such methods", name)
	}
	return o.changed(), nil
}

// remove is removeFunction where mu is held. A table without the function is never larger.
func (o *offering) remove(name string) {
	delete(o.functions, name)
	if !isPrivate(name) {
		o.public--
	}
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

// topicRows lists the names under which this node announces its subscriptions.
func (o *offering) topicRows() (rows []string) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	for name := range o.functions {
		if isTopic(name) {
			rows = append(rows, name)
		}
	}
	return rows
}

// list is what peers are told of all functions that are neither private nor the protocol's own, in the order of their
// names.
func (o *offering) list() []wire.Function {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return slices.DeleteFunc(o.rows(), func(f wire.Function) bool { return wire.IsOwn(f.Name) })
}

// wireTags is the form in which tags travel: sorted by key.
func wireTags(tags map[string]string) []wire.Tag {
	var list []wire.Tag
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, wire.Tag{Key: k, Value: tags[k]})
	}
	return list
}

// A function that does not serve for a while stays in the table, so that callers know that it exists: they are told
// Unavailable, not NotFound.

// SetServing says whether a function of this node is to be called. A function serves once registered. While it does
// not, callers pass this node over as soon as they have heard of it, with the pace of Register, and a call that comes
// nevertheless is answered Unavailable, with Executed: No, and made at another provider. That holds for calls of this
// process, too: they go elsewhere, or fail if there is no other provider. Calls that run go on. A name that is not
// registered is NotFound; a closed node returns ErrClosed.
func (n *Node) SetServing(name string, serving bool) error {
	return n.change(func() (bool, error) { return n.serving.offered.setServing(name, serving) })
}

// setServing marks a function. It reports whether this is the first change since the last table.
func (o *offering) setServing(name string, serving bool) (first bool, _ error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f := o.functions[name]
	if f == nil || wire.IsOwn(name) {
		return false, refused(NotFound, "set serving %s: there is no such function", name)
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

// tableService is the protocol's own function by which a peer pulls our service table, PROTOCOL.md [TAB-3].
const tableService = "\x00table"

// pullTimeout is how long a pull may take. The loop asks again when it failed.
const pullTimeout = 3 * time.Second

// tableFunction is what answers tableService.
func (n *Node) tableFunction() *service {
	return ownService(tableService, func() []byte { return *n.serving.ownTable.Load() })
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
	p, failed := n.Caller(tableService).attempt(ctx, now, l.visit(), &outCall{deadline: now.Add(pullTimeout)})
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

// A service is a function under a name, and what is measured of it.
type service struct {
	*function.Func
	name string
	// has one-way calls in the place of the pool, and answers them at once; nil for functions of users
	takeEvent func(*request)
	cost      runCost
	counts    *tally.Cell     // nil: its calls are not counted. Set before it is offered
	serial    uint64          // another for each service of this process
	methodOf  string          // the name that RegisterAll was given, if it offers this
	misfits   balance.Misfits // of this process's calls
	registered
}

// newService is a function of a user.
func newService(name string, fn any) (*service, error) {
	if err := checkName("service", name); err != nil {
		return nil, err
	}
	f, err := planService(name, fn)
	if err != nil {
		return nil, fmt.Errorf("register %s: %w", name, err)
	}
	if n := len(f.row().Signature); n > wire.MaxSignature {
		return nil, fmt.Errorf("register %s: its signature has %d bytes, may have %d: give its types names", name, n,
			wire.MaxSignature)
	}
	return f, nil
}

// planService is newService for a name that is known to be fine.
func planService(name string, fn any) (*service, error) {
	f, err := function.New(name, fn, lentShapes...)
	if err != nil {
		return nil, err
	}
	f.Most, f.Explain, f.Input = maxMessageMost, explained, endOfInput
	return &service{Func: f, name: name, serial: serials.Add(1)}, nil
}

// ownService is a function of the protocol's own, which no Tracer is told of.
func ownService(name string, fn any) *service {
	f, err := planService(name, fn)
	if err != nil {
		panic("broach: internal error: " + err.Error())
	}
	return f
}

var serials atomic.Uint64

// invoke runs the function on the arguments that args holds and appends its results to dst. Errors from before the
// function ran are InvalidArgument with Executed: No; all others say Yes. A panic of the function is the pool's.
func (f *service) invoke(ctx context.Context, args, dst []byte, s *stream.Pair) ([]byte, *Error) {
	b, err := f.Invoke(ctx, args, dst, s)
	return b, ownError(err)
}

// ownError is what the codec or explained says, as an Error of this package.
func ownError(err error) *Error {
	switch e := err.(type) {
	case nil:
		return nil
	case *Error:
		return e
	case *codec.Error:
		return &Error{Code: Code(e.Code), Executed: Executed(e.Executed), Message: e.Text, cause: e.Cause}
	}
	panic("broach: internal error: " + err.Error())
}

// rowSignature is the signature as peers are told it, without the name.
func (f *service) rowSignature() string { return strings.TrimPrefix(f.Signature(), f.name) }

// row is what peers are told of the function.
func (f *service) row() wire.Function {
	return wire.Function{
		Name: f.name, Signature: f.rowSignature(), Doc: f.doc, Weight: uint16(f.weight),
		Idempotent: f.idempotent,
		Paused:     f.paused.Load(),
	}
}
