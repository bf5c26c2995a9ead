package main

import (
	"context"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// orderEnv holds the order of a process that shall measure: this program starts itself with it, or itself as it was
// built otherwise.
const orderEnv = "BROACH_BENCH_ORDER"

// An order is one measurement. Each has a process of its own, so that none finds what others left behind, and callers
// and server can be of another broach.
type order struct {
	System, Workload string
	Window           time.Duration
	GOGC             int // 0: Go's own
}

// An outcome is what a measurement gave.
type outcome struct {
	Result result
	Lost   string // why calls failed, for example; "" if none did
}

// carryOut has a program carry out the order.
func (o order) carryOut(ctx context.Context, program string) (got outcome, _ error) {
	text, err := json.Marshal(o)
	if err != nil {
		return got, err
	}
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), orderEnv+"="+string(text))
	if o.GOGC > 0 {
		cmd.Env = append(cmd.Env, "GOGC="+strconv.Itoa(o.GOGC)) // the server's process has it of this one
	}
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil { // open as long as this process lives
		return got, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return got, err
	}
	if err := cmd.Start(); err != nil {
		return got, err
	}
	err = gob.NewDecoder(out).Decode(&got)
	if ended := cmd.Wait(); ended != nil {
		return got, fmt.Errorf("the callers' process: %w", ended)
	}
	return got, err
}

// obey is that process. It prints the outcome, and ends with its input: when the parent dies.
func obey(text string) error {
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	got, err := o.measure()
	if err != nil {
		return err
	}
	return gob.NewEncoder(os.Stdout).Encode(got)
}

// measure carries out the order here.
func (o order) measure() (outcome, error) {
	s, known := systemNamed(o.System)
	w, can := workloadNamed(o.Workload)
	if !known || !can {
		return outcome{}, fmt.Errorf("there is no %s at %s", o.System, o.Workload)
	}
	return measure(s, w, o.Window)
}
