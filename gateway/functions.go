package gateway

import (
	"context"
	"errors"
	"path"
	"reflect"
	"strings"
	"sync"
	"time"

	"broach"
)

// What is kept of the functions that are called: a Caller, and what a provider says of the types. Requests never wait
// for news of a function that is known: they go by the old until the new is there, and one that does not fit the old
// asks at once.

const (
	describedFor  = time.Second
	describeMost  = 3 * time.Second // that a provider is given to say it
	functionsMost = 4096            // kept; when there are more, all are forgotten
)

// function is one as it was described. It is never changed.
type function struct {
	name    string
	caller  *broach.Caller
	isKnown bool // a provider has described it
	broach.Description
	types
	readAt time.Time
}

type functions struct {
	g      *Gateway
	stalec chan string // names of which the news are wanted

	mu     sync.RWMutex // guards byName; nothing waits while it is held
	byName map[string]*function
}

func (fs *functions) init(g *Gateway) {
	fs.g, fs.byName, fs.stalec = g, map[string]*function{}, make(chan string, 64)
	g.tasks.Go(fs.refresh)
}

// refresh looks up what requests found to be old.
func (fs *functions) refresh() {
	for {
		select {
		case <-fs.g.ctx.Done():
			return
		case name := <-fs.stalec:
			if f := fs.get(name); f != nil && !f.isFresh(time.Now()) {
				_, _ = fs.describe(fs.g.ctx, name) // what is known stays
			}
		}
	}
}

func (fs *functions) get(name string) *function {
	fs.mu.RLock()
	defer fs.mu.RUnlock()
	return fs.byName[name]
}

func (f *function) isFresh(now time.Time) bool { return now.Sub(f.readAt) < describedFor }

// find returns a function. One that cannot be described now is returned as not known; that nobody offers it is an
// error.
func (fs *functions) find(ctx context.Context, name string, now time.Time) (*function, error) {
	f := fs.get(name)
	if f == nil {
		return fs.describe(ctx, name)
	}
	if !f.isFresh(now) {
		select {
		case fs.stalec <- name:
		default: // so many are old that this one's turn will come
		}
	}
	return f, nil
}

// news returns the function as it is described now, nil if that is what f says.
func (fs *functions) news(ctx context.Context, f *function) *function {
	other, err := fs.describe(ctx, f.name)
	if err != nil || reflect.DeepEqual(other.Description, f.Description) {
		return nil
	}
	return other
}

// describe asks a provider, and keeps what it says.
func (fs *functions) describe(ctx context.Context, name string) (*function, error) {
	ctx, cancel := context.WithTimeout(ctx, describeMost)
	defer cancel()
	f := &function{name: name, caller: fs.g.node.Caller(name)}
	d, err := fs.g.node.Describe(ctx, name)
	if errors.Is(err, broach.ErrNotFound) {
		fs.forget(name)
		return nil, err
	}
	if err != nil {
		return f, nil // the call says what is wrong
	}
	f.Description, f.isKnown, f.types, f.readAt = d, true, typesOf(&d), time.Now()
	fs.keep(f)
	return f, nil
}

func (fs *functions) keep(f *function) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if len(fs.byName) >= functionsMost {
		clear(fs.byName)
	}
	fs.byName[f.name] = f
}

func (fs *functions) forget(name string) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	delete(fs.byName, name)
}

func typesOf(d *broach.Description) types {
	all := types{}
	for i := range d.Params {
		all.collect(&d.Params[i].Type)
	}
	for i := range d.Results {
		all.collect(&d.Results[i])
	}
	return all
}

// exposes reports whether a function may be called by its name.
func (s *settings) exposes(name string) bool {
	return !isPrivate(name) && matchesAny(s.functions, name)
}

// isPrivate reports whether a name is never exposed: it is private, the protocol's own, or none at all.
func isPrivate(name string) bool {
	return name == "" || strings.HasPrefix(name, "__") || strings.ContainsFunc(name, func(r rune) bool {
		return r < ' ' || r == 0x7f
	})
}

func matchesAny(patterns []string, name string) bool {
	for _, p := range patterns {
		if ok, _ := path.Match(p, name); ok {
			return true
		}
	}
	return false
}
