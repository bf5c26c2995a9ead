package trace

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"broach"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// The test starts itself again for each node, which does what it reads, word by word, and says when it has done so.
const (
	nameVariable      = "BROACH_TRACE_TEST_NAME" // of the node that this process is
	seedVariable      = "BROACH_TRACE_TEST_SEED"
	collectorVariable = "BROACH_TRACE_TEST_COLLECTOR"
)

func TestMain(m *testing.M) {
	for variable, be := range map[string]func(name string) error{nameVariable: beNode, costVariable: beCost} {
		if name := os.Getenv(variable); name != "" {
			if err := be(name); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			return
		}
	}
	os.Exit(m.Run())
}

// process is one of a node, as the test sees it.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Scanner
	addr string
}

// startProcess starts one that joins the node at seed, unless that is "", and exports to the receiver.
func (r *receiver) startProcess(name, seed string) *process {
	r.t.Helper()
	p := &process{t: r.t, cmd: exec.CommandContext(r.t.Context(), os.Args[0])}
	p.cmd.Env = append(os.Environ(), nameVariable+"="+name, seedVariable+"="+seed, collectorVariable+"="+r.web.URL)
	in, err := p.cmd.StdinPipe()
	require.NoError(r.t, err)
	out, err := p.cmd.StdoutPipe()
	require.NoError(r.t, err)
	p.cmd.Stderr = os.Stderr
	require.NoError(r.t, p.cmd.Start())
	p.in, p.out = in, bufio.NewScanner(out)
	p.addr = strings.TrimPrefix(p.await("at "), "at ")
	return p
}

// ask has it do something, and waits until it has.
func (p *process) ask(what string) {
	p.t.Helper()
	_, err := fmt.Fprintln(p.in, what)
	require.NoError(p.t, err)
	p.await("done")
}

// await reads the next line, which begins with a text.
func (p *process) await(text string) string {
	p.t.Helper()
	require.True(p.t, p.out.Scan(), "it has ended and said no more: %v", p.out.Err())
	require.True(p.t, strings.HasPrefix(p.out.Text(), text), "%q in place of %q", p.out.Text(), text)
	return p.out.Text()
}

// end has it close its node and export what is left.
func (p *process) end() {
	p.t.Helper()
	require.NoError(p.t, p.in.Close())
	require.False(p.t, p.out.Scan(), p.out.Text())
	require.NoError(p.t, p.cmd.Wait())
}

// role is what a node does: acts are the things it can be asked for.
type role struct {
	*broach.Node
	acts map[string]act
}

// lifetime is what a process has for all that it is asked for.
const lifetime = time.Minute

// beNode is a process of its own until nobody asks any more. One that hangs ends by itself, and says where it was:
// else the test would wait for its word, and it would outlive the test.
func beNode(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), lifetime)
	defer cancel()
	debug.SetTraceback("all")
	time.AfterFunc(lifetime+5*time.Second, func() { panic(name + " hangs") })
	provider, err := exporting(ctx, name)
	if err != nil {
		return err
	}
	n, err := broach.Start(broach.Config{Name: name, Addr: "127.0.0.1:0", LogLevel: "off",
		Join: strings.Fields(os.Getenv(seedVariable)), Tracer: New(Provider(provider))})
	if err != nil {
		return err
	}
	r := &role{Node: n, acts: map[string]act{}}
	if err := r.play(name); err != nil {
		return err
	}
	fmt.Println("at", n.Addr())
	return errors.Join(r.obey(ctx), n.Close(), provider.Shutdown(ctx))
}

// exporting makes spans that go to the receiver.
func exporting(ctx context.Context, name string) (*sdk.TracerProvider, error) {
	to := otlptracehttp.WithEndpointURL(os.Getenv(collectorVariable) + "/v1/traces")
	exporter, err := otlptracehttp.New(ctx, to)
	return sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(resource.NewSchemaless(
		attribute.Int("process.pid", os.Getpid()), attribute.String("service.name", name)))), err
}

func (r *role) obey(ctx context.Context) error {
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		if err := r.acts[in.Text()](ctx); err != nil {
			return fmt.Errorf("%s: %w", in.Text(), err)
		}
		fmt.Println("done")
	}
	return nil
}

func (r *role) play(name string) error {
	return map[string]func() error{"till": r.playTill, "shop": r.playShop, "shed": r.playShed}[name]()
}
