// Decides from a program's class files whether it can share a virtual machine with others: whether all
// that it can reach is its own objects and plain values of the JDK.
//
// A class can only name what is in its constant pool, and the verifier sees to it that nothing else is
// called. So a program is harmless to the next one when every class, method and field of its pools is in
// the lists below, which hold nothing that changes or shows the machine's own state: no reflection, no
// threads, no files, no properties, no exit, no class loaders. It must not catch errors either (an
// OutOfMemoryError or StackOverflowError may leave the JDK's classes half made, and has to come to
// SharedMachine's eyes). What is not known to be harmless is not.
import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;

final class ProgramCheck {
    /// Classes of which everything may be used, but what REFUSED names. A program may extend them.
    private static final Set<String> PLAIN = new HashSet<>();

    /// Classes of which only these members may be used. A program may not extend them.
    private static final Map<String, Set<String>> PARTLY = new HashMap<>();

    /// Members of PLAIN classes (none of which can be extended) that show what is the machine's or all programs'.
    private static final Set<String> SHOWN =
            Set.of(
                    "java/lang/Boolean.getBoolean", "java/lang/Integer.getInteger", "java/lang/Long.getLong",
                    // Generators that all programs would draw from.
                    "java/lang/Math.random", "java/lang/StrictMath.random", "java/util/Collections.shuffle");

    /// Members that no program has, by whatever name its class goes.
    private static final Set<String> REFUSED =
            Set.of(
                    // It names this machine's classes.
                    "getStackTrace",
                    // They block, or show another program's strings.
                    "wait", "notify", "notifyAll", "intern",
                    // They run at another time, or in other threads.
                    "finalize", "parallel", "parallelStream", "parallelSort", "parallelPrefix", "parallelSetAll",
                    // They change what all programs see.
                    "setDefault", "setIn", "setOut", "setErr");

    private static void plain(String start, String names) {
        for (String name : names.split(" ")) {
            PLAIN.add(start + name);
        }
    }

    private static void partly(String name, String members) {
        PARTLY.put(name, Set.of(members.split(" ")));
    }

    static {
        plain("java/lang/",
                "Object String StringBuilder StringBuffer CharSequence Comparable Iterable Number Math StrictMath"
                        + " Boolean Byte Character Short Integer Long Float Double Void Enum Record Runnable"
                        + " AutoCloseable Cloneable Exception RuntimeException ArithmeticException"
                        + " ArrayIndexOutOfBoundsException ArrayStoreException AssertionError ClassCastException"
                        + " CloneNotSupportedException IllegalArgumentException IllegalStateException"
                        + " IndexOutOfBoundsException NegativeArraySizeException NullPointerException"
                        + " NumberFormatException StringIndexOutOfBoundsException UnsupportedOperationException");
        plain("java/util/",
                "AbstractCollection AbstractList AbstractMap AbstractMap$SimpleEntry"
                        + " AbstractMap$SimpleImmutableEntry AbstractQueue AbstractSequentialList AbstractSet ArrayDeque"
                        + " ArrayList Arrays BitSet Collection Collections Comparator Deque"
                        + " DoubleSummaryStatistics EmptyStackException EnumMap EnumSet Enumeration HashMap HashSet"
                        + " Hashtable IdentityHashMap InputMismatchException IntSummaryStatistics Iterator"
                        + " LinkedHashMap LinkedHashSet LinkedList List ListIterator LongSummaryStatistics Map"
                        + " Map$Entry NavigableMap NavigableSet NoSuchElementException Objects Optional OptionalDouble"
                        + " OptionalInt OptionalLong PrimitiveIterator$OfDouble PrimitiveIterator$OfInt"
                        + " PrimitiveIterator$OfLong PriorityQueue Queue Random RandomAccess Set SortedMap SortedSet"
                        + " Stack StringJoiner StringTokenizer TreeMap TreeSet Vector"
                        + " ConcurrentModificationException");
        plain("java/util/function/",
                "BiConsumer BiFunction BiPredicate BinaryOperator BooleanSupplier Consumer DoubleBinaryOperator"
                        + " DoubleConsumer DoubleFunction DoublePredicate DoubleSupplier DoubleToIntFunction"
                        + " DoubleToLongFunction DoubleUnaryOperator Function IntBinaryOperator IntConsumer"
                        + " IntFunction IntPredicate IntSupplier IntToDoubleFunction IntToLongFunction"
                        + " IntUnaryOperator LongBinaryOperator LongConsumer LongFunction LongPredicate LongSupplier"
                        + " LongToDoubleFunction LongToIntFunction LongUnaryOperator ObjDoubleConsumer ObjIntConsumer"
                        + " ObjLongConsumer Predicate Supplier ToDoubleBiFunction ToDoubleFunction ToIntBiFunction"
                        + " ToIntFunction ToLongBiFunction ToLongFunction UnaryOperator");
        plain("java/util/stream/",
                "BaseStream Collector Collectors DoubleStream IntStream IntStream$Builder LongStream Stream"
                        + " Stream$Builder");
        plain("java/util/regex/", "MatchResult Matcher Pattern PatternSyntaxException");
        plain("java/util/concurrent/", "Callable");
        plain("java/util/concurrent/atomic/", "AtomicBoolean AtomicInteger AtomicLong AtomicReference");
        plain("java/math/", "BigDecimal BigInteger MathContext RoundingMode");
        plain("java/io/", "Closeable IOException Serializable UncheckedIOException");
        plain("org/javatuples/",
                "Decade Ennead KeyValue LabelValue Octet Pair Quartet Quintet Septet Sextet Triplet Tuple Unit");
        partly("java/lang/System", "out err arraycopy currentTimeMillis nanoTime identityHashCode lineSeparator");
        partly("java/io/PrintStream", "print println printf format append flush");
        partly("java/lang/Class", "desiredAssertionStatus getName getSimpleName isInstance cast equals hashCode toString");
        partly("java/lang/Throwable", "getMessage getLocalizedMessage getCause printStackTrace toString addSuppressed");
        partly("java/lang/NoSuchFieldError", "<init>");
        partly("java/lang/invoke/LambdaMetafactory", "metafactory altMetafactory");
        partly("java/lang/invoke/StringConcatFactory", "makeConcatWithConstants");
        // Named by the classes of lambdas, and not used by them.
        partly("java/lang/invoke/MethodHandles", "<nothing>");
        partly("java/lang/invoke/MethodHandles$Lookup", "<nothing>");
        partly("java/lang/runtime/ObjectMethods", "bootstrap");
        partly("java/util/Locale", "ENGLISH ROOT US UK GERMANY FRANCE getDefault toString equals hashCode");
        partly("java/util/Scanner", "<init> next nextInt nextLong nextDouble nextLine hasNext hasNextInt hasNextLong"
                + " hasNextDouble hasNextLine useDelimiter close");
        partly("BitsweepHarness", "put");
    }

    /// Thrown when the program may not share; the text says why.
    private static final class No extends Exception {
        private static final long serialVersionUID = 1L;

        No(String why) {
            super(why);
        }
    }

    private final Set<String> own = new HashSet<>();
    private Object[] texts; // Utf8 constants.
    private int[] first; // Of a constant that refers to others, the first of them.
    private int[] second;
    private byte[] tags;

    private ProgramCheck() {}

    /// Null when the program of these classes (name, class file) may share; else why it may not.
    static String whyNot(Map<String, byte[]> classes) {
        ProgramCheck check = new ProgramCheck();
        for (String name : classes.keySet()) {
            if (name.indexOf('.') >= 0 || name.indexOf('/') >= 0) {
                return "a class in a package: " + name;
            }
            check.own.add(name);
        }
        try {
            for (byte[] bytes : classes.values()) {
                check.look(new DataInputStream(new ByteArrayInputStream(bytes)));
            }
            return null;
        } catch (No no) {
            return no.getMessage();
        } catch (IOException | RuntimeException broken) {
            return "a class file that cannot be read: " + broken;
        }
    }

    private void look(DataInputStream in) throws IOException, No {
        in.readInt();
        in.readInt();
        readPool(in);
        for (int i = 1; i < tags.length; ++i) {
            lookAt(i);
        }
        in.readUnsignedShort();
        String name = className(in.readUnsignedShort());
        if (!own.contains(name)) {
            throw new No("a class file of " + name);
        }
        above(className(in.readUnsignedShort()));
        for (int left = in.readUnsignedShort(); left > 0; --left) {
            above(className(in.readUnsignedShort()));
        }
        for (int kind = 0; kind < 2; ++kind) {
            for (int left = in.readUnsignedShort(); left > 0; --left) {
                lookAtMember(in);
            }
        }
    }

    private void readPool(DataInputStream in) throws IOException, No {
        int count = in.readUnsignedShort();
        tags = new byte[count];
        texts = new Object[count];
        first = new int[count];
        second = new int[count];
        for (int i = 1; i < count; ++i) {
            tags[i] = in.readByte();
            switch (tags[i]) {
                case 1: // A text.
                    texts[i] = in.readUTF();
                    break;
                case 3: // Numbers.
                case 4:
                    in.readInt();
                    break;
                case 5:
                case 6:
                    in.readLong();
                    ++i;
                    break;
                case 7: // A class, a string, a method's type.
                case 8:
                case 16:
                    first[i] = in.readUnsignedShort();
                    break;
                case 9: // Members, names with types, calls that a method of the JDK links.
                case 10:
                case 11:
                case 12:
                case 18:
                    first[i] = in.readUnsignedShort();
                    second[i] = in.readUnsignedShort();
                    break;
                case 15: // A method as a value; what it refers to is in the pool, too.
                    in.readUnsignedByte();
                    in.readUnsignedShort();
                    break;
                default:
                    throw new No("a constant of kind " + tags[i]);
            }
        }
    }

    private String text(int at) {
        return (String) texts[at];
    }

    /// The class of a constant; of an array its elements', empty for numbers.
    private String className(int at) throws No {
        if (tags[at] != 7) {
            throw new No("a constant that is no class");
        }
        String name = text(first[at]);
        if (!name.startsWith("[")) {
            return name;
        }
        name = name.substring(name.lastIndexOf('[') + 1);
        return name.startsWith("L") ? name.substring(1, name.length() - 1) : "";
    }

    private boolean known(String name) {
        return name.isEmpty() || own.contains(name) || PLAIN.contains(name) || PARTLY.containsKey(name);
    }

    private void lookAt(int at) throws No {
        if (tags[at] == 7) {
            if (!known(className(at))) {
                throw new No("it uses " + className(at));
            }
        } else if (tags[at] >= 9 && tags[at] <= 11) {
            boolean array = text(first[first[at]]).startsWith("[");
            String owner = array ? "java/lang/Object" : className(first[at]);
            String name = text(first[second[at]]);
            Set<String> some = own.contains(owner) ? null : PARTLY.get(owner);
            if (REFUSED.contains(name) || SHOWN.contains(owner + "." + name) || (some != null && !some.contains(name))) {
                throw new No("it uses " + owner + "." + name);
            }
        } else if (tags[at] == 16) {
            lookAtType(text(first[at])); // Of a lambda's body and of the method that it stands for.
        } else if (tags[at] == 18) {
            lookAtType(text(second[second[at]])); // What a lambda takes along, and its interface.
        }
    }

    /// The classes in the type of a method, as it is written in class files.
    private void lookAtType(String type) throws No {
        for (int i = 0; i < type.length(); ++i) {
            if (type.charAt(i) == 'L') {
                int end = type.indexOf(';', i);
                String name = type.substring(i + 1, end);
                if (!known(name)) {
                    throw new No("it uses " + name);
                }
                i = end;
            }
        }
    }

    private void above(String name) throws No {
        if (!own.contains(name) && !PLAIN.contains(name)) {
            throw new No("it extends " + name);
        }
    }

    private void lookAtMember(DataInputStream in) throws IOException, No {
        final int isNative = 0x0100;
        int flags = in.readUnsignedShort();
        String name = text(in.readUnsignedShort());
        in.readUnsignedShort();
        if ((flags & isNative) != 0 || name.equals("finalize")) {
            throw new No("it has a method " + name);
        }
        for (int left = in.readUnsignedShort(); left > 0; --left) {
            String attribute = text(in.readUnsignedShort());
            int size = in.readInt();
            if (!attribute.equals("Code")) {
                in.skipBytes(size);
                continue;
            }
            byte[] body = new byte[size];
            in.readFully(body);
            lookAtHandlers(new DataInputStream(new ByteArrayInputStream(body)));
        }
    }

    private void lookAtHandlers(DataInputStream in) throws IOException, No {
        in.readInt();
        in.skipBytes(in.readInt());
        for (int left = in.readUnsignedShort(); left > 0; --left) {
            in.readUnsignedShort();
            in.readInt();
            int caught = in.readUnsignedShort();
            // `finally` and the like catch everything.
            String name = caught == 0 ? "java/lang/Throwable" : className(caught);
            if (name.equals("java/lang/Throwable")) {
                throw new No("it catches errors");
            }
        }
    }
}
