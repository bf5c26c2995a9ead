package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// endPatience is how long a process may take to end before it is killed.
const endPatience = 5 * time.Second

// A process is one that this program started.
type process struct {
	hello
	cmd   *exec.Cmd
	in    io.WriteCloser
	donec chan struct{} // closed when it has ended and its last line was read
	err   error         // of its lines; read it after donec
}

// startProcess starts a process and waits for its hello. What it sees is noted.
func startProcess(b birth, note func(sighting)) (*process, error) {
	p := &process{donec: make(chan struct{})}
	out, err := p.launch(b)
	if err != nil {
		return nil, err
	}
	lines := json.NewDecoder(bufio.NewReader(out))
	if err := lines.Decode(&p.hello); err != nil {
		return nil, fmt.Errorf("a process did not start: %w", errors.Join(err, p.cmd.Process.Kill(), p.cmd.Wait()))
	}
	go p.read(lines, note)
	return p, nil
}

// launch runs this program again, with its ends of the pipes.
func (p *process) launch(b birth) (out io.Reader, _ error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	order, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	p.cmd = exec.Command(path)
	p.cmd.Env = append(os.Environ(), birthEnv+"="+string(order))
	p.cmd.Stderr = os.Stderr
	p.cmd.SysProcAttr = endsWithParent()
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if out, err = p.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	return out, p.cmd.Start()
}

// read notes what the process sees until it ends.
func (p *process) read(lines *json.Decoder, note func(sighting)) {
	defer close(p.donec)
	for p.err == nil {
		var s sighting
		if p.err = lines.Decode(&s); p.err == nil {
			note(s)
		}
	}
	// it has ended, perhaps in the middle of a line
	if errors.Is(p.err, io.EOF) || errors.Is(p.err, io.ErrUnexpectedEOF) {
		p.err = nil
	}
	p.cmd.Process.Kill() // matters only after a line that is no sighting
	p.cmd.Wait()
}

// kill ends the process without a word, and waits for it.
func (p *process) kill() error {
	err := p.cmd.Process.Kill()
	<-p.donec
	return err
}

// leave asks the process to leave, and waits for it.
func (p *process) leave() error {
	err := p.cmd.Process.Signal(syscall.SIGTERM)
	<-p.donec
	return err
}

// end lets the process end by itself, or kills it in the end.
func (p *process) end() error {
	p.in.Close()
	tooLate := time.AfterFunc(endPatience, func() { p.cmd.Process.Kill() })
	defer tooLate.Stop()
	<-p.donec
	return p.err
}
