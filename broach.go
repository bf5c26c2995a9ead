// Package broach calls Go functions in other processes over UDP, without a registry, a broker or a sidecar.
//
// A program names one address of the cluster, registers plain functions, and calls functions wherever they live:
//
//	node, err := broach.Run("application1.json")
//	if err != nil {
//		log.Fatal(err)
//	}
//	err = node.Register("work01", func(x, y int) int { return x + y })
//
//	client := node.Caller("work01")
//	v, err := client.Call(ctx, 1, 2)                // any(3)
//	sum, err := broach.Call[int](ctx, client, 1, 2) // 3
//
// Nodes tell each other who is there and who offers what, notice within about a second that one has died, and find
// together again after a cut. A call is sent to one of the live providers, again and again until it is answered or its
// deadline has passed, and is executed at most once.
//
// # Functions
//
// Any function can be registered whose parameters and results are booleans, numbers, strings, byte slices, times,
// structs of such, and slices, arrays, maps and pointers of them, or of type any. A first parameter of type
// context.Context is filled in by the node: it ends with the caller's deadline, or when the caller gives up. A last
// result of type error becomes the error of the call. Arguments and results are copied, also when the function runs in
// the calling process itself; numbers are taken in any numeric type that they fit exactly, and are never truncated.
// Large byte slices come faster as [Lent], which is not copied and may be read for a while only.
//
// A type of which something would be lost without a word is refused, such as one that has unexported fields only; times
// come back in UTC. docs/values.md has what becomes of each type, and what a signature and a struct may become from one
// version of a program to the next.
//
// A parameter of type any receives bool, int64, uint64 (only above int64), float64, string, []byte, time.Time, []any or
// map[string]any; map[any]any if keys are no strings. Call returns results in the kind that the function declared; a
// struct arrives as map[string]any, unless [Call] or [Bind] names its type.
//
// The methods of a value are offered together by [Node.RegisterAll], and a struct of func variables that call them is
// filled by [BindAll].
//
// # Calls
//
// A [Caller] waits for one answer with Call, for that of every provider with All, for none with Send, and later with
// [Go]. A call that did not run is made again elsewhere; one that may have run only if its function is [Idempotent]. A
// provider at which a function fails again and again is left alone for a while. Options change all that.
//
// A function streams that returns an iter.Seq2[T, error], alone or with an error, or whose last parameter is one, or
// both. [Stream] ranges over what it returns; a sequence is given as the last argument of any call but Send and All.
// Who yields waits for who reads, and hears when nobody does any more: see docs/streams.md.
//
// A function that makes calls with the context it was given makes them part of the call it serves: they share its
// deadline and its end, and its metadata ([Meta]) go along, a W3C traceparent among them. [InvocationFrom] tells who
// calls. An [Interceptor] sees all of that at either side.
//
// # Options
//
//   - [CallOption], for [Node.Caller], [Caller.With], [Bind] and [BindAll]. How long and how often: [Timeout],
//     [Retries], [NoRetry], [Hedge], [WaitReady], [StreamIdle]. Where: [Balance], [Key], [On], [Local], [Breaker],
//     [NoBreaker], [Strict]. What goes along, what stands around: [Meta], [CallInterceptors].
//   - [RegisterOption], for [Node.Register], [Node.RegisterAll] and [RegisterFunc]: [Idempotent], [Doc], [Weight],
//     [MaxConcurrent], [Authorize], [ServeInterceptors].
//   - [SubscribeOption], for [Node.Subscribe]: [EachInstance], [OneAnywhere], [Backlog].
//   - [TimerOption], for [Node.Every]: [OneOwner], [Jitter].
//
// # Names
//
// A name has 1 to 200 bytes of UTF-8 without control characters. Names that begin with "__" are private: they can be
// called in their own process only.
//
// # Events
//
// An event is published under a topic and goes to those who have subscribed to it: to one instance of each application
// (Config.Name), to each instance, or to one of all. They acknowledge it when it is in their backlog, and handle the
// events of one publisher in their order. [Node.Publish] and [Node.Subscribe] have the rules.
//
// # Timers
//
// [Node.Every] runs a function periodically, in each process or in one at a time.
//
// # Leaving
//
// A program ends without losing a call when it waits for SIGTERM and then leaves:
//
//	term, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
//	defer cancel()
//	<-term.Done()
//	err := node.Leave(context.Background())
//
// # Errors
//
// Every error of a call is an [*Error]. Its Code says what happened, and its Executed whether the function ran: No,
// Yes, or Maybe when the connection to the provider was lost. Only a call with No may be repeated blindly.
//
// What a function returns reaches its caller as a code, which [Errorf] chooses, and a text. With [RegisterError]
// errors.Is and errors.As hold at the caller, too. What a function panics with reaches the log of its node, and nobody
// else.
//
// # Limits
//
// A message is at most 64 MiB (Config.MaxMessage), of values that lie in each other 1,000 deep at most, and what is
// made of it at most 16 MiB and 128 times its size in memory. A node offers at most 10,000 functions, and calls at most
// 65,536 functions of one peer at a time. broach is built for up to 1,000 nodes.
//
// # Security
//
// With Config.Keys all datagrams are encrypted, and only who has a key is a member. Without, whoever reaches a node can
// join and call. docs/SECURITY.md says what is promised against whom.
package broach

// Run starts a node as the configuration file at path says, or, for an empty path, the environment alone: LoadConfig,
// then Start. It returns once the node serves; joining the cluster goes on in the background. A program that has a
// section of its own in the file calls those two, and Config.App in between. In main it is also fine as a statement.
func Run(path string) (*Node, error) {
	cfg, err := LoadConfig(path)
	if err != nil {
		return nil, err
	}
	return Start(cfg)
}
