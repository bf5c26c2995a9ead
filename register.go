package broach

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"broach/internal/function"
	"broach/internal/pace"
	"broach/internal/wire"
)

// Register offers a function under a name: at once in this process, and everywhere as soon as the peers have heard of
// it: a few milliseconds, and up to 0.1 s with thousands of functions. It works before and after joining. The rules for
// names and functions are in the package documentation; what breaks them is an InvalidArgument, as is a name that is
// taken. More than 10,000 functions, or a service table above 1 MiB, are TooLarge. A closed node returns ErrClosed.
func (n *Node) Register(name string, fn any, opts ...RegisterOption) error {
	if err := n.asMember("register", name); err != nil {
		return err
	}
	f, err := n.newFunction(name, fn, opts)
	if err != nil {
		return refused(InvalidArgument, "%w", err)
	}
	return n.change(func() (bool, error) { return n.serving.offered.addFunction(name, f) })
}

// newFunction makes ready what Register is to offer.
func (n *Node) newFunction(name string, fn any, opts []RegisterOption) (*service, error) {
	f, err := newService(name, fn)
	if err != nil {
		return nil, err
	}
	f.Most, f.interceptors = n.linking.wires.MaxMessage, n.cfg.ServeInterceptors
	if err := f.apply(opts); err != nil {
		return nil, fmt.Errorf("register %s: %w", name, err)
	}
	f.intercept(fn)
	return f, nil
}

// RegisterFunc is Register under the function's own name: that which it has in its source, of a method without
// that of its type. A func literal has none, nor has an instance of a generic function: InvalidArgument.
func RegisterFunc(n *Node, fn any, opts ...RegisterOption) error {
	name, err := function.NameOf(fn)
	if err != nil {
		return refused(InvalidArgument, "register a function by its name: %w; Register takes one", err)
	}
	return n.Register(name, fn, opts...)
}

// RegisterAll offers the exported methods of a value, those of embedded fields among them, each as Register does, with
// the same options, under name, a dot and the method's name: "stock.Add". Either all are offered or, where anything is
// wrong, none: then the InvalidArgument says everything that is wrong, with the method. That is a method that cannot be
// called, such as one with a chan, a nil pointer, a value of a type whose methods want a pointer, and one without any
// exported methods, or with Lock and Unlock, of an embedded mutex, which nobody else is to call.
func (n *Node) RegisterAll(name string, methods any, opts ...RegisterOption) error {
	if err := n.asMember("register", name); err != nil {
		return err
	}
	list, err := n.newMethods(name, methods, opts)
	if err != nil {
		return refused(InvalidArgument, "%w", err)
	}
	return n.change(func() (bool, error) { return n.serving.offered.addFunctions(list) })
}

// newMethods makes ready what RegisterAll is to offer.
func (n *Node) newMethods(name string, methods any, opts []RegisterOption) (list []*service, _ error) {
	if err := errors.Join(checkName("service", name), checkMethods(methods)); err != nil {
		return nil, fmt.Errorf("register all of %s: %w", name, err)
	}
	var wrong []error
	for m, method := range reflect.ValueOf(methods).Methods() {
		f, err := n.newFunction(name+"."+m.Name, method.Interface(), opts)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		f.methodOf = name
		list = append(list, f)
	}
	return list, errors.Join(wrong...)
}

// checkMethods reports what is wrong with a value as a whole whose methods are to be offered.
func checkMethods(methods any) error {
	v := reflect.ValueOf(methods)
	switch {
	case !v.IsValid():
		return errors.New("the value is nil")
	case v.Kind() == reflect.Pointer && v.IsNil():
		return fmt.Errorf("the %T is nil", methods)
	}
	if _, ok := methods.(sync.Locker); ok {
		return fmt.Errorf("%T has Lock and Unlock, which would be offered: give the mutex in it a name", methods)
	}
	t := v.Type()
	switch more := reflect.PointerTo(t).NumMethod(); {
	case t.NumMethod() > 0 && (t.Kind() == reflect.Pointer || more == t.NumMethod()):
		return nil
	case t.Kind() != reflect.Pointer && more > 0:
		return fmt.Errorf("%v has methods that want a pointer: give a *%v", t, t)
	}
	return fmt.Errorf("%v has no exported methods", t)
}

// UnregisterAll takes back all that RegisterAll has offered under a name, as Unregister does. If that is nothing, it is
// NotFound.
func (n *Node) UnregisterAll(name string) error {
	return n.change(func() (bool, error) { return n.serving.offered.removeFunctions(name) })
}

// Unregister takes a function back. Calls that run go on. A name that is not registered is NotFound; a closed node
// returns ErrClosed.
func (n *Node) Unregister(name string) error {
	if wire.IsOwn(name) { // such as a timer, which ends by Stop
		return refused(NotFound, "unregister %q: there is no such function", name)
	}
	return n.change(func() (bool, error) { return n.serving.offered.removeFunction(name) })
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
	return n.do(func(now time.Time) {
		n.loop.tableAt = pace.Later(now, n.loop.tableMade.Add(n.serving.offered.pace()))
	})
}

// tellTable gives the peers our table as it is now.
func (n *Node) tellTable(now time.Time) {
	n.loop.tableAt, n.loop.tableMade = time.Time{}, now
	n.setTable(now, n.linking.wires.Table.Add(1), n.serving.offered.table())
	n.publish(now)
}

// setTable gives our table a version. It is the loop's, once that runs.
func (n *Node) setTable(now time.Time, version uint32, table []byte) {
	pulled := append(binary.BigEndian.AppendUint32(nil, version), table...)
	n.serving.ownTable.Store(&pulled)
	n.loop.members.SetTable(now, version, table)
}

// functionFor returns the function of that name if peers may call it, or nil.
func (s *serving) functionFor(name []byte) *service {
	if s.isGuest {
		return nil
	}
	switch string(name) {
	case tableService:
		return s.tables
	case describeService:
		return s.describes
	case findService:
		return s.finds
	case viewService:
		return s.views.function
	}
	return s.offered.forPeers(name)
}

const maxWeight = 1000

// RegisterOption says more about a function: of Node.Register, Node.RegisterAll and RegisterFunc.
type RegisterOption func(*registered)

// registered is what the options of Register say of a function.
type registered struct {
	idempotent bool
	doc        string
	weight     int          // 0: none said
	most       int          // runs at once; 0: any number
	running    atomic.Int64 // of them, if there is a limit
	paused     atomic.Bool  // it is not to be called now: see SetServing
	wrong      []error      // mistakes in its options

	interceptors []Interceptor // those of the node before those of the options; not written to
}

// Idempotent says that the function may run twice for one call, with no more effect than once. A call of it that may or
// may not have run, because its provider died, is then made again at another.
func Idempotent() RegisterOption { return func(r *registered) { r.idempotent = true } }

// Doc is a text about the function for its callers, at most 1,024 bytes, which Node.Services shows everywhere.
func Doc(text string) RegisterOption {
	return func(r *registered) {
		if r.doc = text; len(text) > wire.MaxDoc || !utf8.ValidString(text) {
			r.wrong = append(r.wrong, fmt.Errorf("the Doc must be at most %d bytes of UTF-8", wire.MaxDoc))
		}
	}
}

// Weight is this provider's share of calls under the Weighted strategy, relative to the others': 1 to 1000. Without it,
// it is 100.
func Weight(n int) RegisterOption {
	return func(r *registered) {
		if r.weight = n; n < 1 || n > maxWeight {
			r.wrong = append(r.wrong, fmt.Errorf("the Weight is %d, must be from 1 to %d", n, maxWeight))
		}
	}
}

// MaxConcurrent is how many calls of the function run at once in this process, at least 1. One more is Overloaded, and
// its caller asks another provider.
func MaxConcurrent(n int) RegisterOption {
	return func(r *registered) {
		if r.most = n; n < 1 {
			r.wrong = append(r.wrong, fmt.Errorf("MaxConcurrent is %d, must be 1 or more", n))
		}
	}
}

// apply takes the options up.
func (r *registered) apply(opts []RegisterOption) error {
	err := applyEach(opts, r)
	return errors.Join(append(r.wrong, err)...)
}

// weightAt is the weight, or what stands for none.
func (r *registered) weightAt() int { return cmp.Or(r.weight, weightUnsaid) }

// enter counts a call that is to run. It reports false if too many do; else leave must follow.
func (r *registered) enter() bool {
	if r.most == 0 {
		return true
	}
	if r.running.Add(1) <= int64(r.most) {
		return true
	}
	r.running.Add(-1)
	return false
}

func (r *registered) leave() {
	if r.most > 0 {
		r.running.Add(-1)
	}
}

// Authorize lets only those calls of the function run for which check returns nil: by peers and by this process. It
// knows who calls by Invocation.From, the address of a member that has proven to be there and, where there are
// Config.Keys, to have one; what a caller says of itself is in Meta. An error refuses the call: an *Error with its
// Code, any other as Unauthenticated; its text reaches the caller, and the function did not run. Authorize is a
// ServeInterceptors with one Interceptor, so it stands where the options say.
func Authorize(check func(ctx context.Context, call *Invocation) error) RegisterOption {
	if check == nil {
		return ServeInterceptors(nil)
	}
	return ServeInterceptors(func(ctx context.Context, call *Invocation, next Handler) (any, error) {
		err := check(ctx, call)
		if err == nil {
			return next(ctx, call)
		}
		if _, ok := errors.AsType[*Error](err); !ok {
			err = Errorf(Unauthenticated, "%w", err)
		}
		return nil, err
	})
}

// ServeInterceptors adds Interceptors to all calls of the function, also by this process, within those of
// Config.ServeInterceptors and earlier options.
func ServeInterceptors(list ...Interceptor) RegisterOption {
	return func(r *registered) {
		if hasNil(list) {
			r.wrong = append(r.wrong, errNilInterceptor)
			return
		}
		r.interceptors = slices.Concat(r.interceptors, list)
	}
}

// maxName is the length of the name of a service or an error, in bytes.
const maxName = 200

// checkName reports what is wrong with the name of a service or an error: it is 1 to 200 bytes of UTF-8 without control
// characters.
func checkName(of, name string) error { return checkWord(of+" name", name, maxName) }

// checkWord does so for what is said to be something, with its own limit.
func checkWord(what, word string, most int) error {
	switch {
	case word == "":
		return fmt.Errorf("the %s is empty", what)
	case len(word) > most:
		return fmt.Errorf("the %s %.20q… has %d bytes, at most %d are allowed", what, word, len(word), most)
	case !utf8.ValidString(word):
		return fmt.Errorf("the %s %q is not UTF-8", what, word)
	case strings.ContainsFunc(word, unicode.IsControl):
		return fmt.Errorf("the %s %q contains a control character", what, word)
	}
	return nil
}

// isPrivate reports whether a service is the node's own: never announced, not callable from outside.
func isPrivate(name string) bool { return strings.HasPrefix(name, "__") }
