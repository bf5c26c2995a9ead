package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"broach"
)

// topEvery is how often the screen is drawn anew.
const topEvery = time.Second

// askedAtOnce is how many members are asked in a second: the others keep what they said before.
const askedAtOnce = 40

func (a *app) topCommand() *cobra.Command {
	count := 0
	c := &cobra.Command{
		Use: "top", Short: "Show functions by how often they are called, and nodes by load", Args: cobra.NoArgs,
		Long: "Show functions by how often they are called, and nodes by load, once a second. Keys: s the next\n" +
			"column to sort by, r the other way round, q the end. Where it does not go to a terminal, it prints\n" +
			"one picture.",
		RunE: func(c *cobra.Command, _ []string) error { return a.top(c.Context(), count) },
	}
	c.Flags().IntVarP(&count, "count", "n", 0, "end after `n` pictures")
	return c
}

func (a *app) top(ctx context.Context, count int) error {
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	l := &load{}
	if err := l.look(ctx, s, time.Now()); err != nil {
		return err
	}
	in, isTyped := a.in.(*os.File)
	if !isTerminal(a.out) || !isTyped || !isTerminal(in) {
		return a.topLines(ctx, s, l, max(1, count))
	}
	return a.topScreen(ctx, s, l, in, count)
}

// topLines prints pictures one below the other.
func (a *app) topLines(ctx context.Context, s *session, l *load, count int) error {
	for range count {
		select {
		case <-time.After(topEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := l.look(ctx, s, time.Now()); err != nil {
			return err
		}
		if a.output != "table" {
			if err := a.emitTop(l); err != nil {
				return err
			}
			continue
		}
		if _, err := io.WriteString(a.out, l.picture(0, 0)); err != nil {
			return err
		}
	}
	return nil
}

// What a terminal does: another screen, without a cursor, and back; draw from its corner; erase what follows.
const (
	screenOn  = "\x1b[?1049h\x1b[?25l"
	screenOff = "\x1b[?25h\x1b[?1049l"
	toCorner  = "\x1b[H"
	eraseRest = "\x1b[J"
	eraseLine = "\x1b[K"
)

// errQuit says that somebody has pressed q.
var errQuit = errors.New("quit")

// topScreen draws on the terminal until somebody has seen enough.
func (a *app) topScreen(ctx context.Context, s *session, l *load, in *os.File, count int) error {
	before, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return err
	}
	defer func() { _ = term.Restore(int(in.Fd()), before) }()
	_, _ = io.WriteString(a.out, screenOn)
	defer func() { _, _ = io.WriteString(a.out, screenOff) }()
	keys := readKeys(in)
	for n := 0; count == 0 || n < count; {
		if err := a.draw(l); err != nil {
			return err
		}
		isDue, err := l.awaitKey(ctx, keys)
		switch {
		case errors.Is(err, errQuit):
			return nil
		case err != nil:
			return err
		case isDue:
			n++
			if err := l.look(ctx, s, time.Now()); err != nil {
				return err
			}
		}
	}
	return nil
}

// readKeys reads until the end of the program: a read of a terminal cannot be ended.
func readKeys(in io.Reader) <-chan byte {
	keys := make(chan byte)
	go func() {
		var b [1]byte
		for {
			if _, err := in.Read(b[:]); err != nil {
				close(keys)
				return
			}
			keys <- b[0]
		}
	}()
	return keys
}

// awaitKey waits for a key, or until it is time for the next picture.
func (l *load) awaitKey(ctx context.Context, keys <-chan byte) (isDue bool, err error) {
	select {
	case <-time.After(topEvery - min(topEvery, time.Since(l.at))):
		return true, nil
	case <-ctx.Done():
		return false, ctx.Err()
	case key, ok := <-keys:
		switch {
		case !ok, key == 'q', key == 3, key == 4: // Ctrl-C and Ctrl-D are keys here
			return false, errQuit
		case key == 's':
			l.sortBy = (l.sortBy + 1) % len(topColumns)
		case key == 'r':
			l.isReversed = !l.isReversed
		}
		return false, nil
	}
}

func (a *app) draw(l *load) error {
	width, height := 80, 24
	if f, ok := a.out.(*os.File); ok {
		if w, h, err := term.GetSize(int(f.Fd())); err == nil && w > 0 && h > 0 {
			width, height = w, h
		}
	}
	_, err := io.WriteString(a.out, onScreen(l.picture(width, height)))
	return err
}

// load is what all members count, and by how much that has grown.
type load struct {
	at         time.Time
	said       map[string]*nodeLoad // by address, as of the last time that each was asked
	next       int                  // of many members, who is asked first the next time
	sortBy     int
	isReversed bool
	silent     int // members that did not answer
}

// nodeLoad is what one member has said, and what came since the time before.
type nodeLoad struct {
	view      broach.View
	at        time.Time
	over      time.Duration // since the time before; 0: it has been asked once only
	calls     float64       // a second
	cpu       float64       // of one processor
	functions map[string]*functionLoad
}

// look asks members, all or so many as is right.
func (l *load) look(ctx context.Context, s *session, now time.Time) error {
	v, err := s.view(ctx, "", broach.ViewMembers)
	if err != nil {
		return fmt.Errorf("the seed does not answer any more: %w", err)
	}
	addrs := aliveOf(v)
	if len(addrs) > askedAtOnce {
		first := l.next % len(addrs)
		l.next = first + askedAtOnce
		addrs = slices.Concat(addrs, addrs)[first:l.next]
	}
	if l.said == nil {
		l.said = map[string]*nodeLoad{}
	}
	l.at, l.silent = now, 0
	l.forget(v)
	for _, one := range s.inspectAll(ctx, addrs, broach.ViewStats) {
		if one.err != nil {
			l.silent++
			continue
		}
		key := one.addr.String()
		l.said[key] = since(l.said[key], one.view, time.Now())
	}
	return ctx.Err()
}
