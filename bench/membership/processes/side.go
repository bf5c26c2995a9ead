package main

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"

	"broach/bench/internal/checkout"
)

// sideEnv tells a process to play everything for the one that started it: this program starts itself with it, or itself
// as it was built against another checkout.
const sideEnv = "BROACH_PROCESSES_SIDE"

// A side is this program against one checkout of broach, and what happened there.
type side struct {
	name     string // "" if it is the only one
	program  string
	accounts []account
}

// An account is what came of a scenario, in words: those of both sides are the same.
type account struct {
	Title, Log string
	Row        []string
	By         netip.AddrPort // whose log it is
}

// newSides builds in dir what is needed: nothing without a before.
func newSides(ctx context.Context, dir string, pair checkout.Pair) ([]*side, error) {
	if pair.Dir == "" {
		own, err := os.Executable()
		return []*side{{program: own}}, err
	}
	now := &side{name: "now", program: filepath.Join(dir, "now.exe")} // Windows runs no other name
	before := &side{name: "before", program: filepath.Join(dir, "before.exe")}
	err := checkout.Build{Package: program}.Make(ctx, now.program)
	if err == nil {
		err = checkout.Build{Package: program, Broach: pair.Dir}.Make(ctx, before.program)
	}
	return []*side{now, before}, err
}

// program is the package that is built.
const program = "broach/bench/membership/processes"

// play lets everything happen on that side, and shows it.
func (s *side) play(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, s.program)
	cmd.Env = append(os.Environ(), sideEnv+"=1")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = endsWithParent()
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	return errors.Join(s.read(out), cmd.Wait())
}

// read shows the accounts as they come.
func (s *side) read(out io.Reader) error {
	for in := gob.NewDecoder(out); ; {
		var a account
		if err := in.Decode(&a); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		fmt.Printf("%s\n\n%s\n", s.entitle(a.Title), a.Log)
		s.accounts = append(s.accounts, a)
	}
}

// entitle says of which side something is.
func (s *side) entitle(text string) string {
	if s.name == "" {
		return text
	}
	return text + ", " + s.name
}

// playSide is the process of a side. It prints the accounts.
func playSide() error {
	s, out := new(stage), gob.NewEncoder(os.Stdout)
	return errors.Join(s.playAll(out.Encode), s.close())
}
