from fastfold.cli import main

if __name__ == "__main__":
    main()
