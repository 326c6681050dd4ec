// Runs the calls of programs that ProgramCheck finds harmless to each other, one after the other, in one
// virtual machine: most programs need milliseconds, and a machine's start a hundred times that.
//
// Only a program that comes to its end in good order is decided here. Whatever else may be (it may not
// share, takes long, prints much, ends with an error of the machine's) is for a machine of its own,
// and this one ends where the program may have left something behind.
//
// Arguments: bytes of output that a program may make, milliseconds of CPU time that it may take. Descriptor 6: jars,
// each after its length. Descriptor 3: for each a frame (length, then a letter). N it may not share: a
// text, why. A it must run alone: a text, why; E the same, and this machine ends. R it ran: its exit code,
// microseconds of CPU time, the largest resident size of this machine so far in KiB (8 bytes each), the
// beginnings of its output and errors, and the report that its own machine would have made. Numbers are
// big-endian and have 4 bytes, and so have lengths.
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;

public final class SharedMachine {
    private static final int JAR_BYTES_MAX = 64 << 20;
    private static final int REPORT_BYTES_MAX = 1 << 20;
    private static final int STREAM_BYTES_KEPT = 2048;
    private static final long LOOK_INTERVAL = 20; // Milliseconds.
    private static final long WALL_PER_CPU = 30;

    /// Ends a program that is for a machine of its own. It cannot catch this: ProgramCheck.
    private static final class Alone extends Error {
        private static final long serialVersionUID = 1L;

        Alone(String why) {
            super(why, null, false, false);
        }
    }

    /// Keeps the first `kept` bytes and counts all, together with other streams of the same count.
    private static final class Capture extends OutputStream {
        private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        private final int kept;
        private final long[] count;
        private final long most;

        Capture(int kept, long[] count, long most) {
            this.kept = kept;
            this.count = count;
            this.most = most;
        }

        @Override
        public void write(int one) {
            write(new byte[] {(byte) one}, 0, 1);
        }

        @Override
        public void write(byte[] data, int from, int size) {
            count[0] += size;
            if (count[0] > most) {
                throw new Alone("it writes much");
            }
            bytes.write(data, from, Math.min(size, kept - bytes.size()));
        }
    }

    /// A program's classes, and of all others only those that ProgramCheck knows of.
    private static final class Loader extends ClassLoader {
        private final Map<String, byte[]> classes;

        Loader(Map<String, byte[]> classes) {
            super(SharedMachine.class.getClassLoader());
            this.classes = classes;
            setDefaultAssertionStatus(true);
        }

        @Override
        protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
            synchronized (getClassLoadingLock(name)) {
                Class<?> known = findLoadedClass(name);
                if (known != null) {
                    return known;
                }
                byte[] bytes = classes.get(name);
                if (bytes != null) {
                    return defineClass(name, bytes, 0, bytes.length);
                }
                if (name.startsWith("java.") || name.startsWith("org.javatuples.") || name.equals("BitsweepHarness")) {
                    return super.loadClass(name, resolve);
                }
                throw new ClassNotFoundException(name);
            }
        }
    }

    /// One program's run.
    private static final class Run implements Runnable {
        private final Map<String, byte[]> classes;
        private final Capture output;
        private final Capture errors;
        private final Capture report;
        private int code;
        private long nanoseconds;
        private Throwable broken; // What makes this run count for nothing.

        Run(Map<String, byte[]> classes, long outputMax) {
            this.classes = classes;
            long[] streamed = new long[1];
            output = new Capture(STREAM_BYTES_KEPT, streamed, outputMax);
            errors = new Capture(STREAM_BYTES_KEPT, streamed, outputMax);
            report = new Capture(REPORT_BYTES_MAX, new long[1], REPORT_BYTES_MAX);
        }

        private static PrintStream printing(OutputStream stream) {
            return new PrintStream(stream, true, StandardCharsets.UTF_8);
        }

        @Override
        public void run() {
            try {
                PrintStream out = printing(output);
                PrintStream err = printing(errors);
                System.setOut(out);
                System.setErr(err);
                BitsweepHarness.answerInto(report);
                report.write('S');
                report.write('\n');
                Class<?> problem = Class.forName("Problem", false, new Loader(classes));
                Method main = problem.getDeclaredMethod("main", String[].class);
                main.setAccessible(true);
                try {
                    main.invoke(null, (Object) new String[0]);
                    out.flush();
                    report.write('P');
                } catch (InvocationTargetException thrown) {
                    failed(thrown.getCause(), err);
                }
            } catch (Throwable failure) {
                broken = failure;
            } finally {
                BitsweepHarness.answerInto(null);
                nanoseconds = THREADS.getCurrentThreadCpuTime();
            }
        }

        private void failed(Throwable failure, PrintStream err) throws Throwable {
            if (failure instanceof Error && !(failure instanceof AssertionError)) {
                throw failure;
            }
            report.write('X');
            report.write(BitsweepHarness.letterOf(failure));
            code = 1;
            err.print("Exception in thread \"main\" ");
            failure.printStackTrace(err);
            err.flush();
        }
    }

    private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();

    private final long outputMax;
    private final long patience; // Nanoseconds.
    private boolean ended;

    private SharedMachine(long outputMax, long milliseconds) {
        this.outputMax = outputMax;
        this.patience = milliseconds * 1000 * 1000;
    }

    private static Map<String, byte[]> classesOf(byte[] jar) throws IOException {
        Map<String, byte[]> classes = new HashMap<>();
        try (ZipInputStream zip = new ZipInputStream(new ByteArrayInputStream(jar))) {
            for (ZipEntry entry = zip.getNextEntry(); entry != null; entry = zip.getNextEntry()) {
                String name = entry.getName();
                classes.put(name.substring(0, name.length() - ".class".length()), zip.readAllBytes());
            }
        }
        // The one of this machine takes its place.
        classes.remove("BitsweepHarness");
        return classes;
    }

    /// The largest resident size of this machine in KiB; 0 where the system does not say.
    private static long memory() {
        try {
            for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
                if (line.startsWith("VmHWM:")) {
                    return Long.parseLong(line.replaceAll("\\D", ""));
                }
            }
        } catch (IOException none) {
            // No /proc in this sandbox.
        }
        return 0;
    }

    private static void write(DataOutputStream out, byte[] bytes) throws IOException {
        out.writeInt(bytes.length);
        out.write(bytes);
    }

    private static void refuse(DataOutputStream out, char letter, String why) throws IOException {
        out.writeByte(letter);
        write(out, why.getBytes(StandardCharsets.UTF_8));
    }

    /// Waits for the thread, for so much of its CPU time that the machine's load does not matter.
    private boolean ends(Thread thread) throws InterruptedException {
        long begun = System.nanoTime();
        thread.join(LOOK_INTERVAL);
        while (thread.isAlive()) {
            if (THREADS.getThreadCpuTime(thread.getId()) > patience
                    || System.nanoTime() - begun > WALL_PER_CPU * patience) {
                return false;
            }
            thread.join(LOOK_INTERVAL);
        }
        return true;
    }

    private void answer(byte[] jar, DataOutputStream out) throws IOException, InterruptedException {
        Map<String, byte[]> classes = classesOf(jar);
        String why = ProgramCheck.whyNot(classes);
        if (why != null) {
            refuse(out, 'N', why);
            return;
        }
        Run run = new Run(classes, outputMax);
        Thread thread = new Thread(null, run, "main");
        thread.setDaemon(true);
        thread.start();
        if (!ends(thread)) {
            ended = true;
            refuse(out, 'E', "it takes long");
        } else if (run.broken instanceof Alone) {
            refuse(out, 'A', run.broken.getMessage());
        } else if (run.broken != null) {
            ended = true;
            refuse(out, 'E', run.broken.getClass().getName());
        } else {
            out.writeByte('R');
            out.writeInt(run.code);
            out.writeLong(run.nanoseconds / 1000);
            out.writeLong(memory());
            write(out, run.output.bytes.toByteArray());
            write(out, run.errors.bytes.toByteArray());
            write(out, run.report.bytes.toByteArray());
        }
    }

    public static void main(String[] arguments) throws IOException, InterruptedException {
        SharedMachine machine = new SharedMachine(Long.parseLong(arguments[1]), Long.parseLong(arguments[2]));
        try (DataInputStream in = new DataInputStream(new FileInputStream("/dev/fd/6"));
                FileOutputStream out = new FileOutputStream("/dev/fd/3")) {
            while (!machine.ended) {
                int size = in.read();
                if (size < 0) {
                    return;
                }
                for (int i = 0; i < 3; ++i) {
                    size = size << 8 | in.readUnsignedByte();
                }
                if (size < 0 || size > JAR_BYTES_MAX) {
                    throw new IOException("a jar of " + size + " bytes");
                }
                byte[] jar = new byte[size];
                in.readFully(jar);
                ByteArrayOutputStream bytes = new ByteArrayOutputStream();
                DataOutputStream answer = new DataOutputStream(bytes);
                answer.writeInt(0);
                machine.answer(jar, answer);
                byte[] frame = bytes.toByteArray();
                for (int i = 0; i < 4; ++i) {
                    frame[i] = (byte) (frame.length - 4 >> 8 * (3 - i));
                }
                out.write(frame);
            }
        }
        // A program that is still busy does not hold it up.
        Runtime.getRuntime().halt(0);
    }
}
