package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// devFlags say what is watched, and how a program is replaced.
type devFlags struct {
	watch   []string
	isFixed bool
}

func (a *app) devCommand() *cobra.Command {
	var f devFlags
	c := &cobra.Command{
		Use:   "dev -- COMMAND [ARG...]",
		Short: "Run a program, and replace it when its code changes, without a failed call",
		Long: "Run a program, and replace it when its code changes: the new one is built beside the old one, which\n" +
			"goes on where the build fails; it is started at another port, by $BROACH_ADDR; and when all members\n" +
			"know of its functions the old one gets SIGTERM, and should Leave. With --fixed the old one ends\n" +
			"first: for programs that take no address from the environment, and for the seed of others.",
		Example: "  broach dev -- go run ./provider application1.json",
		Args:    cobra.MinimumNArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return a.dev(c.Context(), f, args) },
	}
	c.Flags().StringArrayVar(&f.watch, "watch", nil, "`folder` to watch, with those in it; repeatable; without it .")
	c.Flags().BoolVar(&f.isFixed, "fixed", false, "one after the other, at the address that the program itself chooses")
	return c
}

// quietFor is how long files must rest: an editor writes several at once.
const quietFor = 100 * time.Millisecond

func (a *app) dev(ctx context.Context, f devFlags, args []string) error {
	w, err := newWatcher(f.watch)
	if err != nil {
		return err
	}
	defer w.close()
	dir, err := os.MkdirTemp("", "broach-dev")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	f.isFixed = f.isFixed || os.Getenv("BROACH_ADDR") != ""
	d := &developer{app: a, devFlags: f, builder: newBuilder(args, dir), interrupts: make(chan os.Signal, 1)}
	signal.Notify(d.interrupts, os.Interrupt) // for as long as a program of ours runs, it is told, and not left behind
	defer func() { d.stop(d.current, os.Interrupt) }()
	d.replace(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.current.ended():
			a.say("the program has ended: %v; it is started again when a file changes", d.current.outcome())
			d.current = nil
		case <-w.changedc:
			d.replace(ctx)
		}
	}
}

// developer runs a program, and its successors.
type developer struct {
	*app
	devFlags
	*builder
	current    *child // nil: none runs
	interrupts chan os.Signal
}

// replace builds the program, starts it, and ends the one before.
func (d *developer) replace(ctx context.Context) {
	began := time.Now()
	if err := d.build(ctx, d.log); err != nil {
		if ctx.Err() == nil {
			d.say("the build failed: %v", err)
		}
		return
	}
	built := time.Since(began)
	before := d.current
	if d.isFixed {
		d.stop(before, terminate)
		before = nil
	}
	next, err := d.start(ctx)
	if err != nil {
		goesOn := ""
		if before != nil {
			goesOn = "; the one before goes on"
		}
		d.say("%v%s", err, goesOn)
		return
	}
	d.current = next
	if before != nil {
		d.stop(before, terminate)
	}
	d.say("%s, built in %s, in place after %s more", next.where(), short(built), short(time.Since(began)-built))
}

// start starts the program, and waits until others know of it. An error leaves the one before where it is.
func (d *developer) start(ctx context.Context) (*child, error) {
	addr := ""
	cfg, err := d.config()
	if err != nil {
		return nil, err
	}
	if !d.isFixed {
		if addr, err = freePort(cfg.Join); err != nil {
			return nil, err
		}
	}
	next, err := startChild(d.command(), addr, d.app)
	if err != nil {
		return nil, fmt.Errorf("the program does not start: %w", err)
	}
	if addr == "" {
		return next, nil
	}
	if err := d.awaitKnown(ctx, next, cfg); err != nil {
		d.stop(next, terminate)
		return nil, err
	}
	return next, nil
}

// A builder makes of "go run" a build and a run: so a build that fails ends nothing.
type builder struct {
	args    []string // of what is run
	buildOf []string // of go build; nil: there is nothing to build
	binary  string
	dir     string
	builds  int
}

// runFlags with a value are cut together with it.
func newBuilder(args []string, dir string) *builder {
	b := &builder{args: args, dir: dir}
	if len(args) < 3 || args[0] != "go" || args[1] != "run" {
		return b
	}
	i := 2
	for ; i < len(args) && strings.HasPrefix(args[i], "-"); i++ {
		isBare := slices.Contains([]string{"-race", "-v", "-x", "-trimpath", "-a", "-work", "-n"}, args[i])
		if !isBare && !strings.Contains(args[i], "=") {
			i++ // its value
		}
	}
	end := min(i+1, len(args))
	for end < len(args) && strings.HasSuffix(args[i], ".go") && strings.HasSuffix(args[end], ".go") {
		end++
	}
	b.buildOf, b.args = args[2:end], args[end:]
	return b
}

// build builds a binary of its own, for the one before runs.
func (b *builder) build(ctx context.Context, log io.Writer) error {
	if b.buildOf == nil {
		return nil
	}
	b.builds++
	binary := filepath.Join(b.dir, fmt.Sprintf("program%d", b.builds))
	c := exec.CommandContext(ctx, "go", append([]string{"build", "-o", binary}, b.buildOf...)...)
	c.Stdout, c.Stderr = log, log
	if err := c.Run(); err != nil {
		return err
	}
	_ = os.Remove(b.binary) // of the one before: it runs on without its name
	b.binary = binary
	return nil
}

func (b *builder) command() []string {
	if b.buildOf == nil {
		return b.args
	}
	return append([]string{b.binary}, b.args...)
}
